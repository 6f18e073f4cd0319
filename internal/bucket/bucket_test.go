package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

const key = "exports/owner/id/1.csv.gz"

func object() bucket.Object {
	return bucket.Object{Key: key, Token: "token", ContentType: "application/gzip"}
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// upload writes data in uneven pieces and seals it.
func upload(t *testing.T, b *bucket.Bucket, data []byte) (u *bucket.Upload, sealed bucket.Sealed, started string) {
	t.Helper()
	u = b.NewUpload(t.Context(), object(), func(_ context.Context, id string) error { started = id; return nil })
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 300_007)
		if _, err := u.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	sealed, err := u.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return u, sealed, started
}

func get(t *testing.T, name string) (*s3.GetObjectOutput, []byte) {
	t.Helper()
	out, err := servertest.S3(t).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: new(key)})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return out, body
}

func TestUpload(t *testing.T) {
	const part = bucket.MinPartSize
	for name, test := range map[string]struct {
		size, parts int
	}{
		"nothing":         {0, 0},
		"small":           {1000, 0},
		"exactly a part":  {part, 0},
		"a byte more":     {part + 1, 2},
		"exactly 3 parts": {3 * part, 3},
		"many parts":      {5*part + 12345, 6},
	} {
		t.Run(name, func(t *testing.T) {
			bucketName := servertest.Bucket(t)
			b := bucket.New(servertest.AWS(t), bucketName, "")
			data := random(test.size)
			_, sealed, started := upload(t, b, data)
			if head, err := b.Head(t.Context(), key); err != nil || head.Exists {
				t.Errorf("before Publish: head %+v, error %v", head, err)
			}
			if sealed.Size != int64(test.size) || sealed.CRC32 != crc32.ChecksumIEEE(data) || sealed.UploadID != started {
				t.Errorf("sealed %d bytes, CRC %08x, upload %q; started %q", sealed.Size, sealed.CRC32, sealed.UploadID, started)
			}
			if multipart := started != ""; multipart != (test.parts > 0) {
				t.Errorf("multipart = %v, want %d parts", multipart, test.parts)
			}
			if err := b.Publish(t.Context(), sealed); err != nil {
				t.Fatal(err)
			}
			head, err := b.Head(t.Context(), key)
			out, body := get(t, bucketName)
			want := bucket.Head{
				Exists: true, Size: int64(test.size), Token: "token",
				ContentType: "application/gzip", ETag: *out.ETag, LastModified: *out.LastModified,
			}
			if err != nil || head != want {
				t.Errorf("head %+v, want %+v, error %v", head, want, err)
			}
			if !bytes.Equal(body, data) {
				t.Error("the object isn't what was written")
			}
			if got := out.Metadata["export-token"]; got != "token" {
				t.Errorf("metadata %v: other versions look for export-token", out.Metadata)
			}
			if *out.ContentType != "application/gzip" || out.ContentEncoding != nil {
				t.Errorf("Content-Type %q, Content-Encoding %v", *out.ContentType, out.ContentEncoding)
			}
			if test.parts > 0 && !strings.HasSuffix(strings.Trim(*out.ETag, `"`), "-"+string(rune('0'+test.parts))) {
				t.Errorf("ETag %s, want %d parts", *out.ETag, test.parts)
			}
		})
	}
}

func TestBucket_Publish_neverReplaces(t *testing.T) {
	for name, size := range map[string]int{"put": 10, "multipart": bucket.MinPartSize + 1} {
		t.Run(name, func(t *testing.T) {
			bucketName := servertest.Bucket(t)
			b := bucket.New(servertest.AWS(t), bucketName, "")
			_, first, _ := upload(t, b, []byte("first"))
			if err := b.Publish(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			_, second, _ := upload(t, b, random(size))
			if err := b.Publish(t.Context(), second); err == nil {
				t.Error("a second object was published under the same key")
			}
			if _, body := get(t, bucketName); string(body) != "first" {
				t.Error("the first object was replaced")
			}
		})
	}
}

func TestUpload_Abort(t *testing.T) {
	b := bucket.New(servertest.AWS(t), servertest.Bucket(t), "")
	for name, size := range map[string]int{"nothing sent": 10, "parts sent": 2*bucket.MinPartSize + 1} {
		t.Run(name, func(t *testing.T) {
			u, _, started := upload(t, b, random(size))
			if open := openUploads(t, b); started != "" && len(open) != 1 {
				t.Errorf("open uploads before Abort: %v", open)
			}
			if err := u.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			if open := openUploads(t, b); len(open) != 0 {
				t.Errorf("open uploads after Abort: %v", open)
			}
			if err := b.AbortUpload(t.Context(), key, "gone"); err != nil {
				t.Errorf("aborting an upload that is gone: %v", err)
			}
		})
	}
}

func openUploads(t *testing.T, b *bucket.Bucket) []bucket.OpenUpload {
	t.Helper()
	open, err := b.OpenUploads(t.Context(), "exports/owner/id/")
	if err != nil {
		t.Fatal(err)
	}
	return open
}

// An upload whose id can't be recorded must not go on.
func TestUpload_startedFails(t *testing.T) {
	b := bucket.New(servertest.AWS(t), servertest.Bucket(t), "")
	lost := errors.New("claim lost")
	u := b.NewUpload(t.Context(), object(), func(context.Context, string) error { return lost })
	if _, err := u.Write(random(bucket.MinPartSize + 1)); !errors.Is(err, lost) {
		t.Errorf("Write: error %v, want %v", err, lost)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open := openUploads(t, b); len(open) != 0 {
		t.Errorf("open uploads after Abort: %v", open)
	}
}

func TestBucket_PresignGet(t *testing.T) {
	b := bucket.New(servertest.AWS(t), servertest.Bucket(t), "")
	_, sealed, _ := upload(t, b, []byte("content"))
	if err := b.Publish(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	presign := func(ttl time.Duration) string {
		u, err := b.PresignGet(t.Context(), key, `users "1".csv.gz`, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	fetch := func(u string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	resp := fetch(presign(time.Minute))
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(body) != "content" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
	if got, want := resp.Header.Get("Content-Disposition"), `attachment; filename="users _1_.csv.gz"; filename*=UTF-8''users%20%221%22.csv.gz`; got != want {
		t.Errorf("Content-Disposition %s, want %s", got, want)
	}
	if resp := fetch(strings.Replace(presign(time.Minute), "/1.csv.gz", "/2.csv.gz", 1)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another key under the same signature: status %d, want 403", resp.StatusCode)
	}
}

// A presigned URL leads to the public endpoint, not to the service's own.
func TestBucket_PresignGet_publicEndpoint(t *testing.T) {
	b := bucket.New(servertest.AWS(t), "files", "https://download.example.com")
	got, err := b.PresignGet(t.Context(), key, "f", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if want := "https://download.example.com/files/" + key + "?"; !strings.HasPrefix(got, want) {
		t.Errorf("URL %s, want it to start with %s", got, want)
	}
}

func TestBucket_errors(t *testing.T) {
	missing := bucket.New(servertest.AWS(t), "no-such-bucket", "")
	_, sealed, _ := upload(t, missing, []byte("x"))
	if err := missing.Publish(t.Context(), sealed); export.CodeOf(err) != export.StorageRejected {
		t.Errorf("missing bucket: error %v, want code %s", err, export.StorageRejected)
	}
	nobody := bucket.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "b", "")
	if _, err := nobody.Head(t.Context(), key); export.CodeOf(err) != export.StorageUnavailable {
		t.Errorf("no server: error %v, want code %s", err, export.StorageUnavailable)
	}
	// S3 answers 403 for a missing key to callers who may not list: that isn't a verdict.
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer forbidden.Close()
	if head, err := bucket.New(servertest.AWSAt(t, forbidden.URL), "b", "").Head(t.Context(), key); export.CodeOf(err) != export.StorageUnavailable {
		t.Errorf("403 on HEAD: %+v, error %v, want code %s", head, err, export.StorageUnavailable)
	}
}

// A part that S3 refuses once for want of capacity is sent again.
func TestUpload_partRepeated(t *testing.T) {
	var refused atomic.Int32
	through := servertest.ThroughS3(t)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("partNumber") == "2" && refused.CompareAndSwap(0, 1) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
			return
		}
		through.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	cfg := servertest.AWSAt(t, proxy.URL)
	cfg.RetryMaxAttempts = 3
	name := servertest.Bucket(t)
	b := bucket.New(cfg, name, "")
	data := random(3 * bucket.MinPartSize)
	_, sealed, _ := upload(t, b, data)
	if err := b.Publish(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	if refused.Load() != 1 {
		t.Error("the fault did not fire")
	}
	if _, body := get(t, name); !bytes.Equal(body, data) {
		t.Error("the object isn't what was written")
	}
}
