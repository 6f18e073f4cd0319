// Package eventbus puts events on an EventBridge bus.
package eventbus

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// Source is that of all our events.
const Source = "csvexport"

// putTimeout bounds a call, retries included.
const putTimeout = 10 * time.Second

// Event is what is put.
type Event struct {
	DetailType string
	Detail     []byte // JSON
	At         time.Time
}

// Bus is an event bus.
type Bus struct {
	client *eventbridge.Client
	name   string
}

// New returns the bus of the given name.
func New(cfg aws.Config, name string) *Bus {
	return &Bus{client: eventbridge.NewFromConfig(cfg), name: name}
}

// Put puts an event on the bus. After an error it may be there all the same.
func (b *Bus) Put(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &b.name, Source: aws.String(Source), DetailType: &e.DetailType, Detail: aws.String(string(e.Detail)), Time: &e.At,
	}}})
	if err != nil {
		return fmt.Errorf("put an event on %s: %w", b.name, err)
	}
	if out.FailedEntryCount > 0 && len(out.Entries) > 0 { // the call went well, its entry didn't
		return fmt.Errorf("put an event on %s: %s: %s", b.name, aws.ToString(out.Entries[0].ErrorCode), aws.ToString(out.Entries[0].ErrorMessage))
	}
	return nil
}
