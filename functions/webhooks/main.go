// Command webhooks is the function behind the routes of an owner's webhooks:
// POST and GET /webhooks, and DELETE /webhooks/{id}.
package main

import (
	"context"
	"net/http"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/awsconfig"
	"csvexport/internal/config"
	"csvexport/internal/jobs"
	"csvexport/internal/webhook"
)

func main() { apigw.Start(build, config.Table) }

func build(ctx context.Context, cfg config.Config) (http.Handler, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	store := jobs.New(aws, cfg.TableName)
	return api.Routes{
		"POST /webhooks":        &api.CreateWebhook{Jobs: store, Addresses: webhook.Addresses(cfg.WebhookAddresses)},
		"GET /webhooks":         &api.ListWebhooks{Jobs: store},
		"DELETE /webhooks/{id}": &api.DeleteWebhook{Jobs: store},
	}, nil
}
