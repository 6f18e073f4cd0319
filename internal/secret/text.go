package secret

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Text is a secret that is used as it is written: that of the settings'
// webhooks.
type Text struct{ kept }

// NewText returns the given secret, or where that is empty what the secret arn
// holds. It reads nothing yet.
func NewText(cfg aws.Config, given, arn string) *Text {
	if given != "" {
		return &Text{kept{value: given}}
	}
	client := secretsmanager.NewFromConfig(cfg)
	return &Text{kept{whose: "the webhooks'", read: func(ctx context.Context) (string, error) {
		text, err := readText(ctx, client, arn)
		if err != nil {
			return "", fmt.Errorf("read secret %s: %w", arn, err)
		}
		return text, nil
	}}}
}

// Get returns the secret, which is kept for a while. As long as it can't be
// read, the last one is good.
func (s *Text) Get(ctx context.Context) (string, error) { return s.get(ctx, false) }
