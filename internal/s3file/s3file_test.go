package s3file_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/internal/s3file"
	"csvexport/internal/servertest"
)

func TestRead(t *testing.T) {
	bucket, key, text := servertest.Bucket(t), "catalogs/my datasets.yaml", "datasets:\n"
	_, err := servertest.S3(t).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s3file.Read(t.Context(), bucket, key); err != nil || string(got) != text {
		t.Errorf("read %q, error %v", got, err)
	}
	if _, err := s3file.Read(t.Context(), bucket, "other"); err == nil || !strings.Contains(err.Error(), "s3://"+bucket+"/other") {
		t.Errorf("of a missing object: error %v", err)
	}
}
