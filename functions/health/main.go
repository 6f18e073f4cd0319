// Command health is the function behind GET /health.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/database"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/source"
)

func main() { apigw.Start(build, config.Table, config.Queue, config.Bucket, config.Database) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := database.Open(ctx, aws, cfg)
	if err != nil {
		return nil, err
	}
	budget := source.Budget{Concurrency: cfg.Concurrency, Connections: cfg.Connections}
	return &api.Health{Checks: []api.Check{
		{
			Name: "postgres",
			Ping: rows.Ping,
			Then: &api.Check{
				Name: "connections",
				Ping: func(ctx context.Context) error { return rows.Check(ctx, budget) },
			},
		},
		{Name: "dynamodb", Ping: jobs.New(aws, cfg.TableName).Ping},
		{Name: "sqs", Ping: queue.New(aws, cfg.QueueURL).Ping},
		{Name: "s3", Ping: bucket.New(aws, cfg.BucketName, "").Ping},
	}}, nil
}
