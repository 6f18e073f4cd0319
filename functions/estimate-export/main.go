// Command estimate-export is the function behind POST /exports/estimate.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/awsconfig"
	"csvexport/internal/config"
	"csvexport/internal/database"
	"csvexport/internal/dataset"
	"csvexport/internal/s3file"
)

func main() { apigw.Start(build, config.Database) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
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
	return &api.EstimateExport{Catalog: catalog, Estimate: rows.Estimate}, nil
}
