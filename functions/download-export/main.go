// Command download-export is the function behind GET and HEAD /exports/{id}/download.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/jobs"
)

func main() { apigw.Start(build, config.Table, config.Bucket) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	return &api.DownloadExport{
		Jobs:       jobs.New(aws, cfg.TableName),
		Buckets:    bucket.NewBuckets(aws, cfg.BucketName, cfg.S3PublicURL),
		PresignTTL: cfg.PresignTTL,
	}, nil
}
