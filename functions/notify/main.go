// Command notify is the function behind the queue of exports that came to their
// end: it tells the event bus and the webhooks.
package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"csvexport/internal/awsconfig"
	"csvexport/internal/config"
	"csvexport/internal/eventbus"
	"csvexport/internal/function"
	"csvexport/internal/jobs"
	"csvexport/internal/notify"
	"csvexport/internal/queue"
	"csvexport/internal/secret"
	"csvexport/internal/webhook"
)

func main() { function.Start(build, config.Table, config.Notices) }

func build(ctx context.Context, cfg config.Config) (any, error) {
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	addresses := webhook.Addresses(cfg.WebhookAddresses)
	for i, url := range cfg.WebhookURLs { // it may hold a secret, and isn't named
		if err := addresses.Check(url); err != nil {
			return nil, fmt.Errorf("settings: URL %d of WEBHOOK_URLS %w", i+1, err)
		}
	}
	to := notify.Receivers{Sender: webhook.NewSender(addresses), URLs: cfg.WebhookURLs}
	if cfg.EventBusName != "" {
		to.Bus = eventbus.New(aws, cfg.EventBusName)
	}
	if cfg.WebhookSecret != "" {
		if _, err := webhook.ParseSecrets(cfg.WebhookSecret); err != nil {
			return nil, fmt.Errorf("settings: WEBHOOK_SECRET: %w", err)
		}
	}
	if len(cfg.WebhookURLs) > 0 {
		text := secret.NewText(aws, cfg.WebhookSecret, cfg.WebhookSecretARN)
		to.Secrets = func(ctx context.Context) (webhook.Secrets, error) {
			s, err := text.Get(ctx)
			if err != nil {
				return webhook.Secrets{}, err
			}
			return webhook.ParseSecrets(s)
		}
	}
	return handler(&notify.Notifier{Jobs: jobs.New(aws, cfg.TableName), Queue: queue.New(aws, cfg.NotifyQueueURL), Receivers: to}), nil
}

// handler tells of the exports that the messages name. Those that have served
// their purpose and those that never can are acknowledged.
func handler(n *notify.Notifier) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return function.Messages(func(ctx context.Context, record events.SQSMessage) error {
		m, err := queue.Decode(record.Body)
		if err != nil {
			slog.ErrorContext(ctx, "message dropped: it can't be understood", "messageId", record.MessageId, "error", err)
			return nil
		}
		if err = n.Notify(ctx, m.ExportID); err != nil {
			slog.ErrorContext(ctx, "message not handled", "messageId", record.MessageId, "exportId", m.ExportID, "traceparent", m.Traceparent, "error", err)
		}
		return err
	})
}
