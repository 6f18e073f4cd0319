// Command dead-letter is the function behind the dead-letter queue: a message
// there was never acknowledged, so the export that it names is looked at.
package main

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"csvexport/internal/config"
	"csvexport/internal/function"
	"csvexport/internal/metrics"
	"csvexport/internal/queue"
	"csvexport/internal/sweeper"
	"csvexport/internal/wiring"
)

func main() { function.Start(build, config.Table, config.Queue, config.Bucket, config.Notices) }

func build(ctx context.Context, cfg config.Config) (any, error) {
	s, err := wiring.Sweeper(ctx, cfg, "dead-letter")
	if err != nil {
		return nil, err
	}
	return handler(s), nil
}

// handler repairs the exports that the messages name, if they are due: a worker
// that lives is left alone, and what isn't due yet is the sweeper's. A message
// that can't be understood is logged, as far as it can have been ours, and
// dropped. One whose export can't be looked at now comes again.
func handler(s *sweeper.Sweeper) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return function.Messages(func(ctx context.Context, record events.SQSMessage) error {
		log := slog.Default().With("messageId", record.MessageId, "sentAt", record.Attributes["SentTimestamp"])
		m, err := queue.Decode(record.Body)
		if err != nil {
			log.ErrorContext(ctx, "dead letter dropped: it can't be understood", "error", err, "body", record.Body[:min(len(record.Body), maxBody)])
			metrics.Emit(ctx, log, metrics.Count(metrics.DeadLetters))
			return nil
		}
		log = log.With("exportId", m.ExportID, "traceparent", m.Traceparent)
		log.ErrorContext(ctx, "dead letter")
		metrics.Emit(ctx, log, metrics.Count(metrics.DeadLetters))
		if err = s.Repair(ctx, m.ExportID); err != nil {
			log.ErrorContext(ctx, "export of a dead letter not repaired", "error", err)
		}
		return err
	})
}

// maxBody is how many bytes of a message that can't be understood are logged.
const maxBody = 500
