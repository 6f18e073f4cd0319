package s3file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/internal/s3file"
	"csvexport/internal/servertest"
)

// A setting names a file, or an object in S3.
func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "some.yaml")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	bucket := servertest.Bucket(t)
	if _, err := servertest.S3(t).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: new("some/key.yaml"), Body: strings.NewReader("object")}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ place, text, says string }{
		{file, "text", ""},
		{file + "x", "", "no such file"},
		{"s3://" + bucket + "/some/key.yaml", "object", ""},
		{"s3://" + bucket + "/missing", "", "read s3://" + bucket + "/missing: "},
		{"s3://b", "", "want s3://BUCKET/KEY"},
		{"s3:///key", "", "want s3://BUCKET/KEY"},
	} {
		got, err := s3file.Read(t.Context(), test.place)
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: error %v, want %q", test.place, err, test.says)
			}
		} else if err != nil || string(got) != test.text {
			t.Errorf("%s: %q, error %v", test.place, got, err)
		}
	}
}
