package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

	"csvexport/internal/config"
	"csvexport/internal/jobs"
	"csvexport/internal/notify"
	"csvexport/internal/servertest"
	"csvexport/internal/webhook"
)

// A message that can't be understood is acknowledged, so that it never loops,
// and so is one about nothing; one whose notice can't be read comes again.
func TestHandler(t *testing.T) {
	poison := []events.SQSMessage{{MessageId: "1", Body: "not ours"}, {MessageId: "2", Body: `{"v":9}`}, {MessageId: "3", Body: `{"v":1,"exportId":"x"}`}}
	one := events.SQSMessage{MessageId: "4", Body: `{"v":1,"exportId":"` + uuid.NewString() + `"}`}
	for name, test := range map[string]struct {
		store  *jobs.Store
		failed int
	}{
		"well":       {jobs.New(servertest.AWS(t), servertest.Table(t)), 0},
		"table away": {jobs.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "table"), 1},
	} {
		answer, err := handler(&notify.Notifier{Jobs: test.store})(t.Context(), events.SQSEvent{Records: append(poison, one)})
		if err != nil || answer.BatchItemFailures == nil || len(answer.BatchItemFailures) != test.failed {
			t.Errorf("%s: answer %+v (%v), want %d failures", name, answer, err, test.failed)
		}
	}
}

// A function whose URLs or secret can't be right doesn't start, and
// doesn't say them: they may hold secrets.
func TestBuild_settings(t *testing.T) {
	servertest.AWS(t)
	cfg := config.Config{WebhookAddresses: config.PublicAddresses, WebhookURLs: []string{"https://hooks.example.com/", "https://10.0.0.1/hunter2"}}
	if _, err := build(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "URL 2 of WEBHOOK_URLS must be at a public address") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
	cfg.WebhookURLs = cfg.WebhookURLs[:1]
	cfg.WebhookSecret = "hunter2"
	if _, err := build(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "WEBHOOK_SECRET: a webhook secret is whsec_") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
	cfg.WebhookSecret = webhook.NewSecret()
	if _, err := build(t.Context(), cfg); err != nil {
		t.Error(err)
	}
}
