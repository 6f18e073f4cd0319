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
	"csvexport/internal/s3file"
	"csvexport/internal/secret"
	"csvexport/internal/source"
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
	return &api.EstimateExport{Catalog: catalog, Estimate: func(ctx context.Context, sel dataset.Selection) (int64, error) {
		// Not earlier: a request that is refused needs no secret.
		url, err := secret.DatabaseURL(ctx, aws, cfg.DatabaseURL, cfg.DatabaseSecretARN)
		if err != nil {
			return 0, err
		}
		database, err := source.New(url)
		if err != nil {
			return 0, err
		}
		return database.Estimate(ctx, sel)
	}}, nil
}
