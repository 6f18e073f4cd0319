package invariants_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// deliver makes the export one whose file is in another bucket, whose name it
// returns.
func (f *fixture) deliver(t *testing.T) (bucket, key string) {
	t.Helper()
	bucket, key = f.Bucket+"-theirs", "csv/2026/"+id+"/1.csv.gz"
	client, packed := f.Endpoints.S3Client(), zipped(rows)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	f.remove(t, f.Bucket, "exports/o/"+id+"/1.csv.gz")
	f.putInto(t, bucket, key, packed)
	r := result(packed)
	r["result"].(map[string]any)["key"] = key
	r["spec"] = `{"dataset":"users","destination":{"name":"theirs","prefix":"2026/","bucket":"` + bucket + `","root":"csv/"}}`
	f.job(t, r)
	return bucket, key
}

func (f *fixture) putInto(t *testing.T, bucket, key string, body []byte) {
	t.Helper()
	if _, err := f.Endpoints.S3Client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: map[string]string{"export-token": "token"},
	}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) remove(t *testing.T, bucket, key string) {
	t.Helper()
	if _, err := f.Endpoints.S3Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

// What an export has in a destination is looked at as what it has here.
func TestCheck_destination(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, f *fixture, bucket, key string)
		says  string // as in TestCheck
	}{
		"as it must be":                {func(*testing.T, *fixture, string, string) {}, ""},
		"somebody else's object":       {func(t *testing.T, f *fixture, bucket, _ string) { f.putInto(t, bucket, "theirs.txt", nil) }, ""},
		"object missing":               {func(t *testing.T, f *fixture, bucket, key string) { f.remove(t, bucket, key) }, "is missing"},
		"other bytes":                  {func(t *testing.T, f *fixture, bucket, key string) { f.putInto(t, bucket, key, []byte("x")) }, "has 1 bytes, its record says"},
		"one here as well":             {func(t *testing.T, f *fixture, _, _ string) { f.put(t, "exports/o/"+id+"/1.csv.gz", []byte("x")) }, "belongs into"},
		"object of another attempt":    {func(t *testing.T, f *fixture, b, _ string) { f.putInto(t, b, "csv/2026/"+id+"/2.csv.gz", nil) }, "is there, but its export is completed"},
		"file of another attempt":      {func(t *testing.T, f *fixture, b, _ string) { f.putInto(t, b, "csv/2026/"+id+"/2/00001.csv.gz", nil) }, "is there, but its export is completed"},
		"object of a cancelled export": {func(t *testing.T, f *fixture, bucket, _ string) { f.cancelled(t, bucket) }, "is there, but its export is cancelled"},
		"open upload": {func(t *testing.T, f *fixture, bucket, _ string) {
			if _, err := f.Endpoints.S3Client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
				Bucket: &bucket, Key: aws.String("csv/2026/" + id + "/3.csv.gz"),
			}); err != nil {
				t.Fatal(err)
			}
		}, "is open"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			bucket, key := f.deliver(t)
			test.spoil(t, f, bucket, key)
			found := strings.Join(f.violations(t), "\n")
			if test.says == "" && found != "" || !strings.Contains(found, test.says) {
				t.Errorf("found %q, want %q", found, test.says)
			}
		})
	}
}

// cancelled makes the export cancelled.
func (f *fixture) cancelled(t *testing.T, bucket string) {
	t.Helper()
	f.job(t, map[string]any{"status": "cancelled", "spec": `{"destination":{"prefix":"2026/","bucket":"` + bucket + `","root":"csv/"}}`})
}
