package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"csvexport/internal/bucket"
)

// files returns the product's bucket before a stand-in, whose requests pass change.
func files(s *standIn, change func(*http.Request)) *bucket.Bucket {
	cfg := s.config(aws.Config{Region: "us-east-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
	})})
	cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		change(r)
		return s.RoundTrip(r)
	})}
	return bucket.New(cfg, "bucket", "")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// write writes data as the runner does, up to its publication.
func write(ctx context.Context, b *bucket.Bucket, data []byte) (bucket.Sealed, error) {
	u := b.NewUpload(ctx, bucket.Object{Key: "exports/a/1.csv.gz", Token: "token", ContentType: "application/gzip"},
		func(context.Context, string) error { return nil })
	_, err := u.Write(data)
	if err != nil {
		return bucket.Sealed{}, err
	}
	sealed, err := u.Seal()
	if err != nil {
		return sealed, err
	}
	return sealed, b.Publish(ctx, sealed)
}

func random(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

func compressed(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStandIn_takes(t *testing.T) {
	for name, tt := range map[string]struct {
		size, parts int
	}{"one request": {1000, 0}, "multipart": {17 << 20, 3}} {
		t.Run(name, func(t *testing.T) {
			plain := random(tt.size)
			data := compressed(t, plain)
			s := &standIn{content: newContent()}
			b := files(s, func(*http.Request) {})
			sealed, err := write(t.Context(), b, data)
			if err != nil {
				t.Fatal(err)
			}
			head, err := b.Head(t.Context(), sealed.Key)
			if err != nil || !head.Exists || head.Size != int64(len(data)) || head.Token != "token" {
				t.Errorf("head %+v (%v)", head, err)
			}
			if got := s.objects["/bucket/"+sealed.Key].crc; got != crc32.ChecksumIEEE(data) || s.partCount() != tt.parts {
				t.Errorf("CRC %08x in %d parts", got, s.partCount())
			}
			want := sha256.Sum256(plain)
			if got, err := s.content.sum(int64(len(plain))); got != hex.EncodeToString(want[:]) || err != nil {
				t.Errorf("SHA-256 %s (%v)", got, err)
			}
			s.content = nil
			if _, err := write(t.Context(), b, data); err == nil || !strings.Contains(err.Error(), "api error PreconditionFailed:") {
				t.Errorf("another object under the same key: %v", err)
			}
		})
	}
}

func TestStandIn_refuses(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	parameter := func(name, is, becomes string) func(*http.Request) {
		return func(r *http.Request) {
			if q := r.URL.Query(); q.Get(name) == is {
				q.Set(name, becomes)
				r.URL.RawQuery = q.Encode()
			}
		}
	}
	body := func(change func([]byte) []byte) func(*http.Request) {
		return func(r *http.Request) {
			if r.Body == nil {
				return
			}
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			text = change(text)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
			if r.Method == http.MethodPut {
				r.Header.Set(checksumHeader, encode(crc32.ChecksumIEEE(text)))
			}
		}
	}
	atEnd := func(change func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			if r.URL.Query().Has("uploadId") {
				change(r)
			}
		}
	}
	const put, complete = http.MethodPut, http.MethodPost
	for name, tt := range map[string]struct {
		method string
		change func(*http.Request)
		code   string
	}{
		"a part's checksum":      {put, header(checksumHeader, "AAAAAA=="), "BadDigest"},
		"a part's length":        {put, func(r *http.Request) { r.ContentLength-- }, "IncompleteBody"},
		"a coded body":           {put, header("Content-Encoding", "aws-chunked"), "NotImplemented"},
		"a gap":                  {put, parameter("partNumber", "2", "4"), "InvalidPart"},
		"a part twice":           {put, parameter("partNumber", "2", "1"), "InvalidRequest"},
		"a part above all":       {put, parameter("partNumber", "2", "10001"), "InvalidArgument"},
		"an unknown upload":      {put, parameter("uploadId", "upload-1", "upload-2"), "NoSuchUpload"},
		"small parts":            {put, body(func(b []byte) []byte { return b[:1] }), "EntityTooSmall"},
		"another checksum":       {complete, header("X-Amz-Checksum-Algorithm", "SHA256"), "InvalidRequest"},
		"checksum of the parts":  {complete, header("X-Amz-Checksum-Type", "COMPOSITE"), "InvalidRequest"},
		"the same at the end":    {complete, atEnd(header("X-Amz-Checksum-Type", "COMPOSITE")), "BadDigest"},
		"the whole's checksum":   {complete, header(checksumHeader, "AAAAAA=="), "BadDigest"},
		"the whole's size":       {complete, header("X-Amz-Mp-Object-Size", "1"), "InvalidRequest"},
		"a list without a part":  {complete, body(func(b []byte) []byte { return cut(b, "<Part>", "</Part>") }), "InvalidPart"},
		"a list without an etag": {complete, body(func(b []byte) []byte { return cut(b, "<ETag>", "</ETag>") }), "InvalidPart"},
		"a list out of order":    {complete, body(swapped), "InvalidPartOrder"},
	} {
		t.Run(name, func(t *testing.T) {
			b := files(&standIn{}, func(r *http.Request) {
				if r.Method == tt.method {
					tt.change(r)
				}
			})
			_, err := write(t.Context(), b, random(2*bucket.MinPartSize+1))
			if err == nil || !strings.Contains(err.Error(), "api error "+tt.code+":") {
				t.Errorf("error %v, want %s", err, tt.code)
			}
			if head, err := b.Head(t.Context(), "exports/a/1.csv.gz"); err != nil || head.Exists {
				t.Errorf("after it: %+v (%v)", head, err)
			}
		})
	}
}

// swapped puts a list's first two parts into the wrong order.
func swapped(list []byte) []byte {
	list = bytes.Replace(list, []byte(">1</PartNumber>"), []byte(">?</PartNumber>"), 1)
	list = bytes.Replace(list, []byte(">2</PartNumber>"), []byte(">1</PartNumber>"), 1)
	return bytes.Replace(list, []byte(">?</PartNumber>"), []byte(">2</PartNumber>"), 1)
}

// cut removes the first element between two tags, which are removed too.
func cut(text []byte, begin, end string) []byte {
	before, rest, _ := bytes.Cut(text, []byte(begin))
	_, after, _ := bytes.Cut(rest, []byte(end))
	return append(bytes.Clone(before), after...)
}

func TestStandIn_aborts(t *testing.T) {
	s := &standIn{}
	b := files(s, func(*http.Request) {})
	u := b.NewUpload(t.Context(), bucket.Object{Key: "exports/a/1.csv.gz"}, func(context.Context, string) error { return nil })
	if _, err := u.Write(random(2 * bucket.MinPartSize)); err != nil {
		t.Fatal(err)
	}
	open, err := b.OpenUploads(t.Context(), "exports/a/")
	if err != nil || len(open) != 1 || open[0].Key != "exports/a/1.csv.gz" {
		t.Errorf("open uploads %+v (%v)", open, err)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if open, err = b.OpenUploads(t.Context(), ""); err != nil || len(open) != 0 {
		t.Errorf("open uploads %+v (%v)", open, err)
	}
}

func TestContent_sum(t *testing.T) {
	file := compressed(t, []byte("rows"))
	for name, tt := range map[string]struct {
		file []byte
		size int64
	}{
		"bytes behind":   {append(bytes.Clone(file), 0), 4},
		"cut off":        {file[:len(file)-1], 4},
		"two members":    {append(bytes.Clone(file), file...), 8},
		"another size":   {file, 5},
		"not gzip":       {[]byte("rows"), 4},
		"nothing at all": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContent()
			out, err := c.turn(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = out.Write(tt.file) // sum tells
			c.pass()
			if sum, err := c.sum(tt.size); err == nil {
				t.Errorf("sum %s, want an error", sum)
			}
		})
	}
}
