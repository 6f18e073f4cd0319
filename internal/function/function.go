// Package function starts a Lambda function: settings, log, then its handler.
package function

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"csvexport/internal/config"
)

// Start loads the settings, of which required must be there, builds the
// handler, in one of the forms that the Lambda library takes, and serves
// invocations. It doesn't return. A function whose settings are wrong ends
// with all of them named in its log.
func Start(build func(context.Context, config.Config) (handler any, err error), required ...config.Setting) {
	handler, err := load(context.Background(), os.Getenv, build, required)
	if err != nil {
		slog.Error("function not started", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

// Messages is the handler of a queue's events. A message that handle returns an
// error for comes again; the others are acknowledged. The failures are an empty
// list, never null, where there are none.
func Messages(handle func(ctx context.Context, m events.SQSMessage) error) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
		for _, m := range event.Records {
			if err := handle(ctx, m); err != nil {
				answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			}
		}
		return answer, nil
	}
}

func load(ctx context.Context, getenv func(string) string, build func(context.Context, config.Config) (any, error), required []config.Setting) (any, error) {
	cfg, err := config.Load(getenv, required...)
	if err != nil {
		return nil, err
	}
	setLog(cfg, os.Stdout)
	return build(ctx, cfg)
}

// setLog makes w the log of slog and of log, by which the Lambda library tells
// why an invocation failed.
func setLog(cfg config.Config, w io.Writer) {
	slog.SetDefault(slog.New(invocations{cfg.Logger(w).Handler()}))
	slog.SetLogLoggerLevel(slog.LevelError)
}

// invocations adds to each line of the log which invocation wrote it.
type invocations struct{ slog.Handler }

// Handle implements slog.Handler.
func (h invocations) Handle(ctx context.Context, r slog.Record) error {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		r.AddAttrs(slog.String("lambdaRequestId", lc.AwsRequestID))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h invocations) WithAttrs(attrs []slog.Attr) slog.Handler {
	return invocations{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h invocations) WithGroup(name string) slog.Handler {
	return invocations{h.Handler.WithGroup(name)}
}
