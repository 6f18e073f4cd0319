// Command sweep is the function behind the schedule: it repairs what crashes
// and lost messages left behind.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/uuid"

	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/sweeper"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		slog.Error("function not started", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.Load(getenv, config.Table, config.Queue, config.Bucket)
	if err != nil {
		return err
	}
	slog.SetDefault(cfg.Logger(os.Stdout))
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return err
	}
	store, files := jobs.New(aws, cfg.TableName), bucket.New(aws, cfg.BucketName, cfg.S3PublicURL)
	s := &sweeper.Sweeper{
		Jobs:      store,
		Queue:     queue.New(aws, cfg.QueueURL),
		Bucket:    files,
		Publisher: &publish.Publisher{Jobs: store, Bucket: files, FileTTL: cfg.FileTTL},
		Worker:    "sweep " + uuid.NewString(),
	}
	lambda.Start(s.Sweep)
	return nil
}
