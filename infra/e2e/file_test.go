package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// reference is what a file of all users must hold, by PostgreSQL's own word.
const reference = `COPY (SELECT id, name, email, signup_date, country_code, subscription_tier, lifetime_value
	FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`

// key is the object key of an attempt of an anonymous caller's export.
func key(id string, attempt int) string {
	return fmt.Sprintf("exports/anonymous/%s/%d.csv.gz", id, attempt)
}

// checkFile downloads a completed export's file both ways, and compares it
// with psql's and the status with it.
func (l *local) checkFile(t *testing.T, s status) {
	t.Helper()
	found := l.get(t, "/exports/"+s.ExportID+"/download")
	if found.status != http.StatusFound {
		t.Fatalf("download answers %d\n%s", found.status, found.body)
	}
	object := l.get(t, found.header.Get("Location"))
	if object.status != http.StatusOK {
		t.Fatalf("the presigned URL answers %d\n%s", object.status, object.body)
	}
	checkHeaders(t, object.header, s.File.Name)
	plain := gunzip(t, object.body)
	if want := l.psql(t, reference); !bytes.Equal(plain, want) {
		t.Errorf("the file of %d bytes isn't psql's of %d bytes", len(plain), len(want))
	}
	rows := atoi(t, l.psql(t, "SELECT count(*) FROM users"))
	want := file{Name: s.File.Name, Bytes: len(object.body), UncompressedBytes: len(plain), Checksum: crc32Of(object.body)}
	if diff := cmp.Diff(want, *s.File); diff != "" {
		t.Errorf("file in the status (-want +got):\n%s", diff)
	}
	if s.Progress.TotalRows == nil || *s.Progress.TotalRows != rows || s.Progress.ProcessedRows != rows {
		t.Errorf("progress %+v, want %d rows", s.Progress, rows)
	}
	l.checkDownloadJSON(t, s, rows, object.body)
}

func checkHeaders(t *testing.T, h http.Header, name string) {
	t.Helper()
	if !regexp.MustCompile(`^users-\d{8}T\d{6}Z\.csv\.gz$`).MatchString(name) {
		t.Errorf("file name %q", name)
	}
	if got := h.Get("Content-Type"); got != "application/gzip" {
		t.Errorf("Content-Type %q", got)
	}
	if got, ok := h["Content-Encoding"]; ok {
		t.Errorf("Content-Encoding %q: clients would unpack the file", got)
	}
	kind, parameters, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil || kind != "attachment" || parameters["filename"] != name {
		t.Errorf("Content-Disposition %q, want attachment of %s (%v)", h.Get("Content-Disposition"), name, err)
	}
}

// gunzip unpacks one gzip member, which must be all there is.
func gunzip(t *testing.T, packed []byte) []byte {
	t.Helper()
	r := bytes.NewReader(packed) // a ByteReader: gzip reads no byte too many
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	plain := readAll(t, z)
	if r.Len() > 0 {
		t.Errorf("%d bytes follow the gzip member", r.Len())
	}
	return plain
}

func (l *local) checkDownloadJSON(t *testing.T, s status, rows int, object []byte) {
	t.Helper()
	var d download
	l.get(t, "/exports/"+s.ExportID+"/download", "Accept: application/json").decode(t, http.StatusOK, "application/json", &d)
	got := []any{d.FileName, d.Bytes, d.Rows, d.Checksum, d.Files == nil}
	if diff := cmp.Diff([]any{s.File.Name, s.File.Bytes, rows, s.File.Checksum, true}, got); diff != "" {
		t.Errorf("download as JSON (-want +got):\n%s", diff)
	}
	if left := time.Until(d.ExpiresAt); left < 9*time.Minute || left > 11*time.Minute {
		t.Errorf("the URL expires in %v, want 10 minutes", left)
	}
	if again := l.get(t, d.URL); !bytes.Equal(again.body, object) {
		t.Errorf("the URL in the JSON answers %d and %d bytes, want the file", again.status, len(again.body))
	}
	if other := l.get(t, strings.Replace(d.URL, "/1.csv.gz", "/2.csv.gz", 1)); s.Attempts == 1 && other.status != http.StatusForbidden {
		t.Errorf("the URL changed to another key answers %d, want 403", other.status)
	}
}

// object returns what S3 says of an export's only object.
func (l *local) object(t *testing.T, s status) *s3.HeadObjectOutput {
	t.Helper()
	keys := l.keys(t, s.ExportID)
	if diff := cmp.Diff([]string{key(s.ExportID, s.Attempts)}, keys); diff != "" {
		t.Fatalf("objects of the export (-want +got):\n%s", diff)
	}
	head, err := l.Endpoints.S3Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &l.Bucket, Key: &keys[0], ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(head.ChecksumCRC32); got != s.File.Checksum.Value {
		t.Errorf("S3's checksum %q, the status says %q", got, s.File.Checksum.Value)
	}
	return head
}

// uploads lists the open multipart uploads of an export.
func (l *local) uploads(t *testing.T, id string) []types.MultipartUpload {
	t.Helper()
	out, err := l.Endpoints.S3Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{
		Bucket: &l.Bucket, Prefix: aws.String("exports/anonymous/" + id + "/"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Uploads
}

// checkNothingLeft asserts that an export that is done holds nothing open.
func (l *local) checkNothingLeft(t *testing.T, id string) {
	t.Helper()
	if open := l.uploads(t, id); len(open) > 0 {
		t.Errorf("%d multipart uploads are open", len(open))
	}
	const backends = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> 'postgres'"
	eventually(t, 5*time.Second, "the functions' database connections are closed", func() bool {
		return atoi(t, l.psql(t, backends)) == 0
	})
}

// keys are those of an anonymous caller's export in S3.
func (l *local) keys(t *testing.T, id string) (keys []string) {
	t.Helper()
	list, err := l.Endpoints.S3Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &l.Bucket, Prefix: aws.String("exports/anonymous/" + id + "/")})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

func crc32Of(b []byte) checksum {
	return checksum{Algorithm: "CRC32", Type: "FULL_OBJECT", Value: base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)))}
}
