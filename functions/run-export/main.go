// Command run-export is the function behind the queue: each message names an
// export, which it makes.
package main

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/database"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/function"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/runner"
	"csvexport/internal/s3file"
	"csvexport/internal/source"
)

// gcPercent keeps the memory flat: nearly all of it is a few large buffers that
// live as long as the export, so collecting often costs next to nothing.
const gcPercent = 5

// budgetTimeout bounds the look at the database's limits when an environment
// starts.
const budgetTimeout = 2 * time.Second

func main() {
	debug.SetGCPercent(gcPercent)
	function.Start(build, config.Table, config.Queue, config.Bucket, config.Database, config.Notices)
}

func build(ctx context.Context, cfg config.Config) (any, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	catalog, err := dataset.Load(ctx, cfg.Datasets, s3file.Read)
	if err != nil {
		return nil, err
	}
	rows, err := database.Open(ctx, aws, cfg)
	if err != nil {
		return nil, err
	}
	// A secret that can't be read now is the export's concern, as a database that is down is.
	if err := rows.Ready(ctx); err != nil && export.CodeOf(err) != export.SourceUnreachable {
		return nil, err
	}
	warnOfBudget(ctx, rows, source.Budget{Concurrency: cfg.Concurrency, Connections: cfg.Connections})
	store, files := jobs.New(aws, cfg.TableName), bucket.NewBuckets(aws, cfg.BucketName, cfg.S3PublicURL)
	return handler(&runner.Runner{
		Jobs:        store,
		Queue:       queue.New(aws, cfg.QueueURL),
		Buckets:     files,
		Source:      rows,
		Catalog:     catalog,
		Publisher:   &publish.Publisher{Jobs: store, Buckets: files, Notices: queue.New(aws, cfg.NotifyQueueURL), FileTTL: cfg.FileTTL},
		Connections: cfg.Connections,
		Worker:      "run-export " + uuid.NewString(),
		FileTTL:     cfg.FileTTL,
	}), nil
}

// warnOfBudget logs it if all exports together may need more connections than
// the database allows: they would still be made, but with fewer connections or
// after further attempts. A database that is down is the export's concern.
func warnOfBudget(ctx context.Context, rows *source.Source, b source.Budget) {
	ctx, cancel := context.WithTimeout(ctx, budgetTimeout)
	defer cancel()
	err := rows.Check(ctx, b)
	switch {
	case export.CodeOf(err) == export.Unavailable:
		slog.WarnContext(ctx, "too few connections", "error", err, "maximumConcurrency", b.Concurrency, "exportConnections", b.Connections, "needed", b.Needed())
	case err != nil:
		slog.InfoContext(ctx, "limit of connections not known", "error", err)
	}
}

// handler runs each message. Those that have served their purpose and those
// that never can are acknowledged. Memory is given back afterwards, so that an
// export in a warm environment needs no more of it than one in a fresh one.
func handler(r *runner.Runner) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return function.Messages(func(ctx context.Context, record events.SQSMessage) error {
		defer debug.FreeOSMemory()
		m, err := queue.Decode(record.Body)
		if err != nil {
			slog.ErrorContext(ctx, "message dropped: it can't be understood", "messageId", record.MessageId, "error", err)
			return nil
		}
		if err = r.Run(ctx, m); err != nil {
			slog.ErrorContext(ctx, "message not handled", "messageId", record.MessageId, "exportId", m.ExportID, "traceparent", m.Traceparent, "error", err)
		}
		return err
	})
}
