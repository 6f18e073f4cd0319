// Command health is the function behind GET /health.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/config"
)

func main() { apigw.Start(build) }

func build(context.Context, config.Config) (http.Handler, error) {
	return api.Health{}, nil
}
