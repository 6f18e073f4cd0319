// Command list-exports is the function behind GET /exports.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/awsconfig"
	"csvexport/internal/config"
	"csvexport/internal/jobs"
)

func main() { apigw.Start(build, config.Table) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	return &api.ListExports{Jobs: jobs.New(aws, cfg.TableName)}, nil
}
