// Command delete-export is the function behind DELETE /exports/{id}.
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
	"csvexport/internal/queue"
)

func main() { apigw.Start(build, config.Table, config.Bucket, config.Notices) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	return &api.DeleteExport{
		Jobs:    jobs.New(aws, cfg.TableName),
		Buckets: bucket.NewBuckets(aws, cfg.BucketName, ""),
		Notices: queue.New(aws, cfg.NotifyQueueURL),
		FileTTL: cfg.FileTTL,
	}, nil
}
