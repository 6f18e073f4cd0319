// Package function starts a Lambda function: settings, log, then its handler.
package function

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

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

func load(ctx context.Context, getenv func(string) string, build func(context.Context, config.Config) (any, error), required []config.Setting) (any, error) {
	cfg, err := config.Load(getenv, required...)
	if err != nil {
		return nil, err
	}
	slog.SetDefault(cfg.Logger(os.Stdout))
	return build(ctx, cfg)
}
