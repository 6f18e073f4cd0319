// Command sweep is the function behind the schedule: it repairs what crashes
// and lost messages left behind.
package main

import (
	"context"

	"github.com/google/uuid"

	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/function"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/sweeper"
)

func main() { function.Start(build, config.Table, config.Queue, config.Bucket) }

func build(ctx context.Context, cfg config.Config) (any, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	store, files := jobs.New(aws, cfg.TableName), bucket.New(aws, cfg.BucketName, cfg.S3PublicURL)
	s := &sweeper.Sweeper{
		Jobs:      store,
		Queue:     queue.New(aws, cfg.QueueURL),
		Bucket:    files,
		Publisher: &publish.Publisher{Jobs: store, Bucket: files, FileTTL: cfg.FileTTL},
		Worker:    "sweep " + uuid.NewString(),
	}
	return s.Sweep, nil
}
