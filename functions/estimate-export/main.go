// Command estimate-export is the function behind POST /exports/estimate.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/awsconfig"
	"csvexport/internal/config"
	"csvexport/internal/dataset"
	"csvexport/internal/source"
)

func main() { apigw.Start(build, config.Database) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	catalog, err := dataset.Load(ctx, cfg.Datasets, awsconfig.ReadObject)
	if err != nil {
		return nil, err
	}
	return &api.EstimateExport{Catalog: catalog, Source: func(ctx context.Context) (*source.Source, error) {
		url, err := awsconfig.DatabaseURL(ctx, aws, cfg.DatabaseURL, cfg.DatabaseSecretARN)
		if err != nil {
			return nil, err
		}
		return source.New(url)
	}}, nil
}
