// Package s3file reads files that a setting names: by their path, or in S3.
// Functions whose settings name none in S3 have no client for it.
package s3file

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/internal/awsconfig"
)

// Read returns the content of what a setting names: the path of a file, or an
// object as s3://BUCKET/KEY.
func Read(ctx context.Context, place string) ([]byte, error) {
	object, inS3 := strings.CutPrefix(place, "s3://")
	if !inS3 {
		return os.ReadFile(place)
	}
	bucket, key, _ := strings.Cut(object, "/")
	if bucket == "" || key == "" {
		return nil, fmt.Errorf("%s: want s3://BUCKET/KEY", place)
	}
	return readObject(ctx, bucket, key)
}

func readObject(ctx context.Context, bucket, key string) (content []byte, err error) {
	cfg, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil // an endpoint of one's own has no DNS name for each bucket
	})
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", bucket, key, err)
	}
	defer out.Body.Close()
	if content, err = io.ReadAll(out.Body); err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", bucket, key, err)
	}
	return content, nil
}
