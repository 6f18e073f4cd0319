package runner_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// createSplit makes an export of users in files of so many rows.
func (f fixture) createSplit(t *testing.T, rows int64, format *export.Format) export.Export {
	t.Helper()
	d, _ := dataset.Default().Find("users")
	now := time.Now()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Token: uuid.NewString(), Traceparent: trace, DatasetFingerprint: d.Fingerprint(),
		Spec:   export.Spec{Dataset: "users", Format: format, MaxRowsPerFile: rows},
		Status: export.Processing, Phase: export.Queued, CreatedAt: now, DueAt: now.Add(time.Minute),
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// manifest is what the manifest says, read by names of our own.
type manifest struct {
	Version           int
	ExportID, Dataset string
	AsOf              time.Time
	Order             string
	Rows, Bytes       int64
	UncompressedBytes int64
	MaxRowsPerFile    int64
	Files             []struct {
		Number                         int
		Name                           string
		Rows, Bytes, UncompressedBytes int64
		Checksum                       struct{ Algorithm, Type, Value string }
	}
}

// Each file is one of its own, and together they are psql's file.
func TestRunner_split(t *testing.T) {
	excel := export.DefaultFormat()
	excel.BOM, excel.LineEnding, excel.Compression = true, export.CRLF, export.NoCompression
	bare := export.DefaultFormat()
	bare.Header = false
	for name, test := range map[string]struct {
		rows   int
		most   int64
		format *export.Format
		want   []int64
	}{
		"no rows":            {rows: 0, most: 100, want: []int64{0}},
		"one file":           {rows: 100, most: 100, want: []int64{100}},
		"one row more":       {rows: 101, most: 100, want: []int64{100, 1}},
		"many ranges":        {rows: 500_000, most: 150_000, want: []int64{150_000, 150_000, 150_000, 50_000}},
		"for spreadsheets":   {rows: 250, most: 100, format: &excel, want: []int64{100, 100, 50}},
		"without a header":   {rows: 200, most: 100, format: &bare, want: []int64{100, 100}},
		"no rows nor header": {rows: 0, most: 100, format: &bare, want: []int64{0}},
	} {
		t.Run(name, func(t *testing.T) {
			url := servertest.Database(t)
			servertest.Users(t, url, test.rows)
			f := newFixture(t, url)
			e := f.run(t, f.createSplit(t, test.most, test.format).ID)
			if e.Status != export.Completed || e.Result.Rows != int64(test.rows) || e.Result.Files != len(test.want) {
				t.Fatalf("export %+v, result %+v", e, e.Result)
			}
			m := f.checkManifest(t, e, test.want)
			f.checkParts(t, e, m, test.format)
			f.wantNothingLeft(t, e, 1+len(test.want))
		})
	}
}

// checkManifest compares the manifest with the record and the wanted rows.
func (f fixture) checkManifest(t *testing.T, e export.Export, want []int64) manifest {
	t.Helper()
	raw := f.object(t, e.Result.Key)
	if int64(len(raw)) != e.Result.Bytes || crc32.ChecksumIEEE(raw) != e.Result.CRC32 {
		t.Errorf("the manifest has %d bytes, the record says %+v", len(raw), e.Result)
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.Version != 1 || m.ExportID != e.ID || m.Dataset != "users" || m.Order != "key" || !m.AsOf.Equal(e.Snapshot.AsOf) ||
		m.Rows != e.Result.Rows || m.Bytes != e.Result.FileBytes || m.UncompressedBytes != e.Result.UncompressedBytes || m.MaxRowsPerFile != e.Spec.MaxRowsPerFile {
		t.Errorf("manifest %+v, result %+v", m, e.Result)
	}
	var rows []int64
	for _, file := range m.Files {
		rows = append(rows, file.Rows)
	}
	if !slices.Equal(rows, want) {
		t.Fatalf("files of %v rows, want %v", rows, want)
	}
	return m
}

// checkParts compares the files, put together, with psql's COPY.
func (f fixture) checkParts(t *testing.T, e export.Export, m manifest, format *export.Format) {
	t.Helper()
	spec := export.Spec{Format: format}.FormatOrDefault()
	extension, header := ".csv.gz", "id,name,email,signup_date,country_code,subscription_tier,lifetime_value\n"
	if spec.Compression == export.NoCompression {
		extension = ".csv"
	}
	if !spec.Header {
		header = ""
	}
	var all strings.Builder
	all.WriteString(header)
	bytes := int64(0)
	for i, file := range m.Files {
		key := fmt.Sprintf("exports/anonymous/%s/1/%05d%s", e.ID, i+1, extension)
		raw := f.object(t, key)
		text := string(raw)
		if spec.Compression == export.Gzip {
			text = unpacked(t, raw)
		}
		if file.Number != i+1 || !strings.HasSuffix(file.Name, fmt.Sprintf("-%05d%s", i+1, extension)) || int64(len(raw)) != file.Bytes || int64(len(text)) != file.UncompressedBytes {
			t.Errorf("%s has %d bytes, %d of CSV; the manifest says %+v", key, len(raw), len(text), file)
		}
		head, err := servertest.S3(t).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &f.bucket, Key: &key, ChecksumMode: "ENABLED"})
		if err != nil || aws.ToString(head.ChecksumCRC32) != file.Checksum.Value || head.Metadata["export-token"] != e.Token {
			t.Errorf("%s: checksum %s and token %v (%v), the manifest says %+v", key, aws.ToString(head.ChecksumCRC32), head.Metadata, err, file.Checksum)
		}
		bytes += file.Bytes
		if spec.BOM {
			rest, ok := strings.CutPrefix(text, "\xef\xbb\xbf")
			if text = strings.ReplaceAll(rest, "\r\n", "\n"); !ok {
				t.Errorf("%s has no byte order mark", key)
			}
		}
		rest, ok := strings.CutPrefix(text, header)
		if !ok {
			t.Fatalf("%s begins %q", key, text[:min(len(text), 80)])
		}
		all.WriteString(rest)
	}
	copied := copyUsers
	if !spec.Header {
		copied = `COPY (SELECT * FROM users ORDER BY id) TO STDOUT (FORMAT csv)`
	}
	if want := servertest.PSQL(t, f.database, copied); all.String() != want {
		t.Errorf("the files hold %d bytes together, psql's has %d", all.Len(), len(want))
	}
	if bytes != m.Bytes {
		t.Errorf("files of %d bytes, the manifest says %d", bytes, m.Bytes)
	}
}

// An export of too many files fails before most of them are written, and
// leaves none.
func TestRunner_splitTooMany(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 100_001)
	f := newFixture(t, url)
	e := f.run(t, f.createSplit(t, 100, nil).ID)
	if e.Status != export.Failed || e.Failure.Code != export.FileLimit || e.Attempt != 1 {
		t.Errorf("status %s, failure %+v, attempt %d", e.Status, e.Failure, e.Attempt)
	}
	f.wantNothingLeft(t, e, 0)
}

// A row that is larger than what is handed on at once is whole in its file.
func TestRunner_splitLargeRows(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 300)
	servertest.PSQL(t, url, `ALTER TABLE users ALTER name TYPE text; UPDATE users SET name = repeat(md5(id::text) || E'\n', 10000) WHERE id % 50 = 0`)
	f := newFixture(t, url)
	e := f.run(t, f.createSplit(t, 100, nil).ID)
	if e.Status != export.Completed {
		t.Fatalf("export %+v", e)
	}
	f.checkParts(t, e, f.checkManifest(t, e, []int64{100, 100, 100}), nil)
}

// A worker that loses its claim between two files removes those that it
// published.
func TestRunner_splitLosesClaim(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 2000)
	servertest.PSQL(t, url, `ALTER TABLE users RENAME TO base;
		CREATE FUNCTION slowly(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN $1; END';
		CREATE VIEW users AS SELECT id, slowly(name) AS name, email, signup_date, country_code, subscription_tier, lifetime_value FROM base`)
	f := newFixture(t, url)
	e := f.createSplit(t, 100, nil)
	var background sync.WaitGroup
	defer background.Wait()
	stopped := f.start(t, &background, e.ID)
	first := e.KeyPrefix() + "1/00001.csv.gz"
	waitFor(t, func() bool {
		head, err := f.Buckets.For(e).Head(t.Context(), first)
		return err == nil && head.Exists
	})
	if err := f.Jobs.Cancel(t.Context(), f.get(t, e.ID), time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	<-stopped
	f.wantNothingLeft(t, e, 0)
	if e = f.get(t, e.ID); e.Status != export.Cancelled {
		t.Errorf("status %s", e.Status)
	}
}

// Once the manifest may be on its way to S3, its files stay: the sweep could
// find it there and complete the export by it.
func TestRunner_splitManifestLate(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 250)
	f := newFixture(t, url)
	var refuse atomic.Bool
	refuse.Store(true)
	files := bucket.NewBuckets(servertest.AWSAt(t, refusing(t, func(r *http.Request) bool {
		return refuse.Load() && r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".json")
	})), f.bucket, "")
	f.Buckets, f.Publisher.Buckets = files, files
	e := f.run(t, f.createSplit(t, 100, nil).ID)
	if e.Status != export.Processing || e.Attempt != 1 {
		t.Fatalf("export %+v", e)
	}
	for _, key := range e.PartKeys(1, 3) {
		if head, err := f.Buckets.For(e).Head(t.Context(), key); err != nil || !head.Exists {
			t.Errorf("%s is there: %v (%v)", key, head.Exists, err)
		}
	}
	refuse.Store(false)
	if e = f.run(t, e.ID); e.Status != export.Completed || e.Attempt != 2 {
		t.Errorf("export %+v", e)
	}
}

// refusing returns the URL of a proxy before S3 that answers some requests 503
// itself.
func refusing(t *testing.T, some func(*http.Request) bool) string {
	t.Helper()
	through := servertest.ThroughS3(t)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if some(r) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
