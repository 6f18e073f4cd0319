package bucket_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// wrongETags stands before S3 and gives a wrong ETag for each part.
func wrongETags(t *testing.T) string {
	t.Helper()
	through := servertest.ThroughS3(t)
	through.ModifyResponse = func(resp *http.Response) error {
		if resp.Request.URL.Query().Has("partNumber") {
			resp.Header.Set("ETag", `"00000000000000000000000000000000"`)
		}
		return nil
	}
	proxy := httptest.NewServer(through)
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// Parts whose ETags were told wrong are published all the same, if they are
// those that were sent.
func TestBucket_Publish_wrongETag(t *testing.T) {
	name := servertest.Bucket(t)
	b := bucket.New(servertest.AWSAt(t, wrongETags(t)), name, "")
	data := random(2*bucket.MinPartSize + 1)
	_, sealed, _ := upload(t, b, data)
	if err := b.Publish(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, name); !bytes.Equal(body, data) {
		t.Error("the object isn't what was written")
	}
}

// A part that somebody else has sent over ours isn't published.
func TestBucket_Publish_otherPart(t *testing.T) {
	name := servertest.Bucket(t)
	b := bucket.New(servertest.AWS(t), name, "")
	_, sealed, id := upload(t, b, random(2*bucket.MinPartSize+1))
	if _, err := servertest.S3(t).UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &name, Key: new(key), UploadId: &id, PartNumber: new(int32(2)), Body: bytes.NewReader(random(bucket.MinPartSize + 1)), ChecksumAlgorithm: "CRC32",
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), sealed); export.CodeOf(err) != export.StorageUnavailable {
		t.Errorf("error %v, want code %s", err, export.StorageUnavailable)
	}
	if head, err := b.Head(t.Context(), key); err != nil || head.Exists {
		t.Errorf("head %+v (%v), want nothing", head, err)
	}
}
