// Command create-export is the function behind the routes that begin an
// export: POST /exports/csv and POST /exports/{id}/retry.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/awsconfig"
	"csvexport/internal/config"
	"csvexport/internal/dataset"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/s3file"
)

func main() { apigw.Start(build, config.Table, config.Queue) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	catalog, err := dataset.Load(ctx, cfg.Datasets, s3file.Read)
	if err != nil {
		return nil, err
	}
	create := &api.CreateExport{
		Jobs:    jobs.New(aws, cfg.TableName),
		Queue:   queue.New(aws, cfg.QueueURL),
		Catalog: catalog,
		Quota:   jobs.Quota{Active: cfg.MaxActiveExports, PerMinute: cfg.MaxCreatesPerMinute},
	}
	return api.Routes{
		"POST /exports/csv":        create,
		"POST /exports/{id}/retry": (*api.RetryExport)(create),
	}, nil
}
