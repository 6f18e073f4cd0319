package bucket

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// OpenUpload is a multipart upload that was neither completed nor aborted.
type OpenUpload struct {
	Key string
	ID  string
}

// OpenUploads lists the open uploads of keys that start with prefix.
func (b *Bucket) OpenUploads(ctx context.Context, prefix string) ([]OpenUpload, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var open []OpenUpload
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.translate(ctx, "list uploads of "+prefix, err)
		}
		for _, u := range page.Uploads {
			open = append(open, OpenUpload{Key: aws.ToString(u.Key), ID: aws.ToString(u.UploadId)})
		}
	}
	return open, nil
}

// AbortUpload removes an upload and its parts; a missing one is fine.
func (b *Bucket) AbortUpload(ctx context.Context, key, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: &id})
	if _, gone := errors.AsType[*types.NoSuchUpload](err); gone {
		return nil
	}
	return b.translate(ctx, "abort upload of "+key, err)
}

// RemoveAll removes everything that writers may have left: the open uploads of
// keys that start with prefix, then the objects under such keys, but for those
// that keep says yes to. It returns how many uploads there were.
func (b *Bucket) RemoveAll(ctx context.Context, prefix string, keep func(key string) bool) (uploads int, err error) {
	open, err := b.OpenUploads(ctx, prefix)
	if err != nil {
		return 0, err
	}
	for _, u := range open {
		if err := b.AbortUpload(ctx, u.Key, u.ID); err != nil {
			return 0, err
		}
	}
	// An upload that was completed before its abort has become an object.
	keys, err := b.list(ctx, prefix)
	if err != nil {
		return 0, err
	}
	return len(open), b.DeleteMany(ctx, slices.DeleteFunc(keys, keep))
}

// list returns the keys of objects that start with prefix.
func (b *Bucket) list(ctx context.Context, prefix string) (keys []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.translate(ctx, "list "+prefix, err)
		}
		for _, object := range page.Contents {
			keys = append(keys, aws.ToString(object.Key))
		}
	}
	return keys, nil
}
