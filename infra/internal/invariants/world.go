package invariants

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/infra/internal/stack"
)

type object struct {
	bucket string
	size   int64
	token  string
}

type files struct {
	objects map[string]object // by key
	uploads []string          // keys
}

// readFiles lists the stack's bucket, and what the exports have elsewhere.
func readFiles(ctx context.Context, state stack.State, exports []Export) (files, error) {
	found := files{objects: map[string]object{}}
	if err := readBucket(ctx, state, state.Bucket, "exports/", &found); err != nil {
		return files{}, err
	}
	err := readDestinations(ctx, state, exports, &found)
	return found, err
}

// readBucket adds the objects and uploads of a bucket whose keys begin with prefix.
func readBucket(ctx context.Context, state stack.State, bucket, prefix string, found *files) error {
	client := state.Endpoints.S3Client()
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: o.Key})
			if err != nil { // deleted meanwhile
				continue
			}
			found.objects[*o.Key] = object{bucket: bucket, size: aws.ToInt64(head.ContentLength), token: head.Metadata["export-token"]}
		}
	}
	uploads := s3.NewListMultipartUploadsPaginator(client, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			found.uploads = append(found.uploads, *u.Key)
		}
	}
	return nil
}

// checkContent unpacks a file, which must be one gzip member, and compares it
// with its record and, where want isn't nil, with what it must hold.
func checkContent(ctx context.Context, v *violations, state stack.State, e Export, files files, want *Content) error {
	packed, err := readObject(ctx, state, files.objects[e.Result.Key].bucket, e.Result.Key)
	if err != nil {
		v.add("object %s can't be read: %v", e.Result.Key, err)
		return nil
	}
	z, rest, err := member(packed)
	if err != nil {
		v.add("object %s is no gzip file: %v", e.Result.Key, err)
		return nil
	}
	sum := sha256.New()
	n, err := io.Copy(sum, z)
	switch got := hex.EncodeToString(sum.Sum(nil)); {
	case err != nil:
		v.add("object %s is a broken gzip file: %v", e.Result.Key, err)
	case rest.Len() > 0:
		v.add("object %s has %d bytes behind its gzip member", e.Result.Key, rest.Len())
	case n != e.Result.UncompressedBytes || crc32.ChecksumIEEE(packed) != e.Result.CRC32:
		v.add("object %s has the CRC-32 %08x and %d bytes unpacked, its record says %08x and %d", e.Result.Key, crc32.ChecksumIEEE(packed), n, e.Result.CRC32, e.Result.UncompressedBytes)
	case want != nil && (n != want.Bytes || got != want.SHA256):
		v.add("object %s holds %d bytes of SHA-256 %s, psql's COPY has %d of %s", e.Result.Key, n, got, want.Bytes, want.SHA256)
	}
	return nil
}

func readObject(ctx context.Context, state stack.State, bucket, key string) ([]byte, error) {
	out, err := state.Endpoints.S3Client().GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// member reads the first gzip member; what follows it is left in rest.
func member(packed []byte) (z *gzip.Reader, rest *bytes.Reader, err error) {
	rest = bytes.NewReader(packed) // a ByteReader: gzip reads no byte too many
	if z, err = gzip.NewReader(rest); err == nil {
		z.Multistream(false)
	}
	return z, rest, err
}

// session is a connection of the service to the database.
type session struct{ Name, State, Query string }

func readSessions(ctx context.Context, state stack.State) ([]session, error) {
	text, err := state.DB().Value(ctx, `SELECT coalesce(json_agg(json_build_object('name', application_name, 'state', state, 'query', left(query, 60))), '[]')
		FROM pg_stat_activity WHERE application_name LIKE 'csvexport %' AND application_name <> 'csvexport local'`)
	if err != nil {
		return nil, err
	}
	var sessions []session
	err = json.Unmarshal([]byte(text), &sessions)
	return sessions, err
}

// Process is a function's.
type Process struct {
	Function string `json:"function"`
	PID      int    `json:"pid"`
	State    string `json:"state"`
}

// Exporting reports whether the process is a run-export at work.
func (p Process) Exporting() bool {
	return strings.HasSuffix(p.Function, "RunExportFunction") && p.State == "busy"
}

// Processes lists the functions' processes.
func Processes(ctx context.Context, state stack.State) ([]Process, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, state.Endpoints.Lambda+"/local/environments", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list the functions' processes: %s", resp.Status)
	}
	var all []Process
	err = json.NewDecoder(resp.Body).Decode(&all)
	return all, err
}

// checkProcesses looks for workers that work for nobody, stopped ones, and
// files that functions hold open: the service writes none.
func checkProcesses(ctx context.Context, v *violations, state stack.State, exports []Export) error {
	all, err := Processes(ctx, state)
	if err != nil {
		return err
	}
	working := 0
	for _, e := range exports {
		if e.Status == "processing" {
			working++
		}
	}
	for _, p := range all {
		if p.Exporting() && working == 0 {
			v.add("run-export %d is at work, and no export is processing", p.PID)
		}
		if stopped(p.PID) {
			v.add("%s %d is stopped", p.Function, p.PID)
		}
		names, err := openFiles(p.PID)
		if err != nil {
			return err
		}
		for _, name := range names {
			if strings.HasPrefix(name, state.Logs+"/") {
				continue // its own, where the whole stack is in such a folder
			}
			v.add("%s %d holds the file %s", p.Function, p.PID, name)
		}
	}
	return nil
}

// checkTemp looks for files that a function left, also one that was killed.
func checkTemp(v *violations, state stack.State) error {
	entries, err := os.ReadDir(state.Temp)
	for _, e := range entries {
		v.add("a function left the file %s in its folder for temporary ones", e.Name())
	}
	return err
}

// stopped reports whether a process is, by proc_pid_status(5).
func stopped(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), "State:\tT")
}

// openFiles are the files in folders for temporary ones that a process holds.
func openFiles(pid int) ([]string, error) {
	links, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if errors.Is(err, os.ErrNotExist) { // ended, or no Linux
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, link := range links {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, link.Name()))
		if err == nil && strings.HasPrefix(name, filepath.Clean(os.TempDir())+"/") {
			names = append(names, name)
		}
	}
	return names, nil
}
