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
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/secret"
	"csvexport/internal/source"
)

func main() { apigw.Start(build, config.Table, config.Queue, config.Bucket, config.Database) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	// Not earlier: /health itself needs no secret.
	onDatabase := func(ask func(context.Context, *source.Source) error) func(context.Context) error {
		return func(ctx context.Context) error {
			url, err := secret.DatabaseURL(ctx, aws, cfg.DatabaseURL, cfg.DatabaseSecretARN)
			if err != nil {
				return err
			}
			database, err := source.New(url)
			if err != nil {
				return err
			}
			return ask(ctx, database)
		}
	}
	budget := source.Budget{Concurrency: cfg.Concurrency, Connections: cfg.Connections}
	return &api.Health{Checks: []api.Check{
		{
			Name: "postgres",
			Ping: onDatabase(func(ctx context.Context, s *source.Source) error { return s.Ping(ctx) }),
			Then: &api.Check{
				Name: "connections",
				Ping: onDatabase(func(ctx context.Context, s *source.Source) error { return s.Check(ctx, budget) }),
			},
		},
		{Name: "dynamodb", Ping: jobs.New(aws, cfg.TableName).Ping},
		{Name: "sqs", Ping: queue.New(aws, cfg.QueueURL).Ping},
		{Name: "s3", Ping: bucket.New(aws, cfg.BucketName, "").Ping},
	}}, nil
}
