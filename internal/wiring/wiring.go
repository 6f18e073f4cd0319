// Package wiring builds what more than one function is made of.
package wiring

import (
	"context"

	"github.com/google/uuid"

	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/sweeper"
)

// Sweeper builds the sweeper of the named function.
func Sweeper(ctx context.Context, cfg config.Config, function string) (*sweeper.Sweeper, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	store, files := jobs.New(aws, cfg.TableName), bucket.NewBuckets(aws, cfg.BucketName, cfg.S3PublicURL)
	return &sweeper.Sweeper{
		Jobs:      store,
		Queue:     queue.New(aws, cfg.QueueURL),
		Buckets:   files,
		Publisher: &publish.Publisher{Jobs: store, Buckets: files, Notices: queue.New(aws, cfg.NotifyQueueURL), FileTTL: cfg.FileTTL},
		Worker:    function + " " + uuid.NewString(),
	}, nil
}
