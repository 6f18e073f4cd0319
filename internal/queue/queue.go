// Package queue hands exports over SQS: to workers, and to who tells of their
// ends.
//
// A message is a hint that work may be waiting, never the truth: it may be
// lost, doubled or late without harm. What is to be done stands in the record
// of the export.
package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/uuid"

	"csvexport/internal/export"
)

const (
	version     = 1
	sendTimeout = 10 * time.Second
	// announceTimeout bounds Announce, for whose sake nobody waits.
	announceTimeout = 2 * time.Second
)

// MaxDelay is SQS's own bound on a message's delay.
const MaxDelay = 15 * time.Minute

// Message says that an export may need a worker, or somebody who tells of its
// end: by the queue that it is in.
type Message struct {
	ExportID string
	// Traceparent carries the trace of the request that led to the message
	// (W3C Trace Context); may be empty.
	Traceparent string
}

type body struct {
	V           int    `json:"v"`
	ExportID    string `json:"exportId"`
	Traceparent string `json:"traceparent,omitempty"`
}

// Queue is an SQS queue.
type Queue struct {
	client *sqs.Client
	url    string
}

// New returns the queue at url.
func New(cfg aws.Config, url string) *Queue {
	return &Queue{client: sqs.NewFromConfig(cfg), url: url}
}

// Send queues a message, to be delivered after delay (at most 15 minutes). A
// busy owner's messages don't hold up others': the owner is the message group
// (SQS Developer Guide, "fair queues").
func (q *Queue) Send(ctx context.Context, owner string, m Message, delay time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	b, err := json.Marshal(body{V: version, ExportID: m.ExportID, Traceparent: m.Traceparent})
	if err != nil {
		return fmt.Errorf("encode message of %s: %w", m.ExportID, err)
	}
	_, err = q.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:       &q.url,
		MessageBody:    aws.String(string(b)),
		MessageGroupId: &owner,
		DelaySeconds:   int32(min(delay, MaxDelay).Seconds()),
	})
	if err != nil {
		return &export.Error{
			Code: export.Unavailable, Message: "The queue can't be reached. Please try again.",
			Err: fmt.Errorf("send message of %s: %w", m.ExportID, err),
		}
	}
	return nil
}

// Announce queues a message about an export that has just come to its end, so
// that who must be told is told at once. It is best effort: the record says that
// somebody must be told, and the sweeper sends what wasn't sent. It isn't called
// off with ctx, and it doesn't keep the caller for long.
func (q *Queue) Announce(ctx context.Context, e export.Export) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTimeout)
	defer cancel()
	if err := q.Send(ctx, e.Owner, Message{ExportID: e.ID, Traceparent: e.Traceparent}, 0); err != nil {
		slog.WarnContext(ctx, "end not announced, left to the sweeper", "exportId", e.ID, "traceparent", e.Traceparent, "error", err)
	}
}

// Ping asks whether the queue is there and may be asked.
func (q *Queue) Ping(ctx context.Context) error {
	_, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages},
	})
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Decode reads a message's body. An error means that no later delivery will
// be understood either.
func Decode(s string) (Message, error) {
	var b body
	if err := json.Unmarshal([]byte(s), &b); err != nil {
		return Message{}, fmt.Errorf("decode message: %w", err)
	}
	if b.V != version {
		return Message{}, fmt.Errorf("message has version %d, this program knows %d", b.V, version)
	}
	if _, err := uuid.Parse(b.ExportID); err != nil {
		return Message{}, fmt.Errorf("message's export id: %w", err)
	}
	return Message{ExportID: b.ExportID, Traceparent: b.Traceparent}, nil
}
