// Command run-export is the function behind the queue: each message names an
// export, which it makes.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/uuid"

	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/dataset"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/runner"
	"csvexport/internal/source"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		slog.Error("function not started", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.Load(getenv, config.Table, config.Queue, config.Bucket, config.Database)
	if err != nil {
		return err
	}
	slog.SetDefault(cfg.Logger(os.Stdout))
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return err
	}
	databaseURL := cfg.DatabaseURL
	if databaseURL == "" {
		if databaseURL, err = awsconfig.DatabaseURL(ctx, aws, cfg.DatabaseSecretARN); err != nil {
			return err
		}
	}
	database, err := source.New(databaseURL)
	if err != nil {
		return err
	}
	store, files := jobs.New(aws, cfg.TableName), bucket.New(aws, cfg.BucketName, cfg.S3PublicURL)
	lambda.Start(handler(&runner.Runner{
		Jobs:        store,
		Queue:       queue.New(aws, cfg.QueueURL),
		Bucket:      files,
		Source:      database,
		Catalog:     dataset.Default(),
		Publisher:   &publish.Publisher{Jobs: store, Bucket: files, FileTTL: cfg.FileTTL},
		Connections: cfg.Connections,
		Worker:      "run-export " + uuid.NewString(),
		FileTTL:     cfg.FileTTL,
	}))
	return nil
}

// handler runs the messages of an event. Those that have served their purpose
// and those that never can are acknowledged. The failures are an empty list,
// never null, where there are none.
func handler(r *runner.Runner) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
		for _, record := range event.Records {
			m, err := queue.Decode(record.Body)
			if err != nil {
				slog.ErrorContext(ctx, "message dropped: it can't be understood", "messageId", record.MessageId, "error", err)
				continue
			}
			if err := r.Run(ctx, m); err != nil {
				slog.ErrorContext(ctx, "message not handled", "messageId", record.MessageId, "exportId", m.ExportID, "error", err)
				answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})
			}
		}
		return answer, nil
	}
}
