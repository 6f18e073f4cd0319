// Command describe is the function behind the routes that say what the service
// offers: GET /datasets, GET /datasets/{name}, GET /openapi.yaml and GET /, the
// console.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/config"
	"csvexport/internal/dataset"
	"csvexport/internal/s3file"
)

func main() { apigw.Start(build) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	catalog, err := dataset.Load(ctx, cfg.Datasets, s3file.Read)
	if err != nil {
		return nil, err
	}
	return api.Routes{
		"GET /":                api.NewConsole(),
		"GET /datasets":        &api.ListDatasets{Catalog: catalog},
		"GET /datasets/{name}": &api.GetDataset{Catalog: catalog},
		"GET /openapi.yaml":    api.Contract{},
	}, nil
}
