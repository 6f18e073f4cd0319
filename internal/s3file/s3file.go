// Package s3file reads files that a setting names in S3. Functions whose
// setting names none have no client for it.
package s3file

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/internal/awsconfig"
)

// Read returns the content of an object in S3, such as a catalog of
// datasets. It has a client of its own, which a function that reads none does
// without.
func Read(ctx context.Context, bucket, key string) (content []byte, err error) {
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
