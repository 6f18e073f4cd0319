package secret

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Text is a secret that is used as it is written.
type Text struct {
	client *secretsmanager.Client
	arn    string

	mu     sync.Mutex // held during a read, so that all who ask wait for one
	text   string
	readAt time.Time
}

// NewText returns the given secret, or where that is empty what the secret arn
// holds. It reads nothing yet.
func NewText(cfg aws.Config, given, arn string) *Text {
	if given != "" {
		return &Text{text: given}
	}
	return &Text{client: secretsmanager.NewFromConfig(cfg), arn: arn}
}

// Get returns the secret, which is kept for a while. As long as it can't be
// read, the last one is good.
func (s *Text) Get(ctx context.Context) (string, error) {
	if s.client == nil {
		return s.text, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text != "" && time.Since(s.readAt) < keepFor {
		return s.text, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.arn})
	switch {
	case err == nil:
		s.text, s.readAt = aws.ToString(out.SecretString), time.Now()
	case s.text == "":
		return "", fmt.Errorf("read secret %s: %w", s.arn, err)
	default:
		slog.WarnContext(ctx, "the webhooks' secret can't be read; the last one is used", "error", err)
		s.readAt = time.Now()
	}
	return s.text, nil
}
