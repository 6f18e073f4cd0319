package config

import (
	"errors"
	"fmt"
	"slices"
)

// WebhookAddresses says to which addresses webhooks may go.
type WebhookAddresses string

// The values of WEBHOOK_ADDRESSES, as package webhook has them.
const (
	PublicAddresses WebhookAddresses = "public"
	AnyAddress      WebhookAddresses = "any"
)

// maxWebhookURLs bounds how many requests one export's end leads to.
const maxWebhookURLs = 10

// checkWebhooks checks what only the functions of webhooks need. Whether a URL
// is one that webhooks go to is package webhook's to say.
func (c Config) checkWebhooks() []error {
	var problems []error
	if c.WebhookAddresses != PublicAddresses && c.WebhookAddresses != AnyAddress {
		problems = append(problems, errors.New("WEBHOOK_ADDRESSES must be public or any"))
	}
	if len(c.WebhookURLs) > maxWebhookURLs {
		problems = append(problems, fmt.Errorf("WEBHOOK_URLS must be at most %d", maxWebhookURLs))
	}
	if slices.Contains(c.WebhookURLs, "") {
		problems = append(problems, errors.New("WEBHOOK_URLS must be URLs, separated by commas without blanks"))
	}
	if c.WebhookSecret != "" && c.WebhookSecretARN != "" {
		problems = append(problems, errors.New("WEBHOOK_SECRET and WEBHOOK_SECRET_ARN are set both"))
	}
	if len(c.WebhookURLs) > 0 && c.WebhookSecret == "" && c.WebhookSecretARN == "" {
		problems = append(problems, errors.New("WEBHOOK_URLS need WEBHOOK_SECRET_ARN or WEBHOOK_SECRET"))
	}
	return problems
}
