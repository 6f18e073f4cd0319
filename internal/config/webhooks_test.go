package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/config"
)

func TestLoad_webhooks(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want string // part of the error; empty for none
	}{
		"nothing":          {nil, ""},
		"URLs with secret": {map[string]string{"WEBHOOK_URLS": "https://a.example,https://b.example", "WEBHOOK_SECRET": "whsec_x"}, ""},
		"without one":      {map[string]string{"WEBHOOK_URLS": "https://a.example"}, "need WEBHOOK_SECRET_ARN or WEBHOOK_SECRET"},
		"two secrets":      {map[string]string{"WEBHOOK_SECRET": "whsec_x", "WEBHOOK_SECRET_ARN": "arn"}, "are set both"},
		"an empty URL":     {map[string]string{"WEBHOOK_URLS": "https://a.example,,https://b.example", "WEBHOOK_SECRET": "x"}, "separated by commas"},
		"too many":         {map[string]string{"WEBHOOK_URLS": strings.Repeat("https://a.example,", 10) + "https://b.example", "WEBHOOK_SECRET": "x"}, "at most 10"},
		"addresses":        {map[string]string{"WEBHOOK_ADDRESSES": "all"}, "must be public or any"},
		"no queue URL":     {map[string]string{"NOTIFY_QUEUE_URL": "queue"}, "NOTIFY_QUEUE_URL must be"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(getenv(test.env))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if urls := test.env["WEBHOOK_URLS"]; err == nil && urls != "" && !cmp.Equal(c.WebhookURLs, strings.Split(urls, ",")) {
				t.Errorf("URLs %q", c.WebhookURLs)
			}
		})
	}
	if _, err := config.Load(getenv(nil), config.Notices); err == nil || !strings.Contains(err.Error(), "NOTIFY_QUEUE_URL isn't set") {
		t.Errorf("without a queue: %v", err)
	}
}
