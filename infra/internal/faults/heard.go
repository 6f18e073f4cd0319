package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// listen has the bus hand the service's events to a queue, and keeps them.
func (s *Suite) listen(ctx context.Context) error {
	queues, bus := s.stack.State.Endpoints.SQSClient(), s.stack.State.Endpoints.EventsClient()
	queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("heard")})
	if err != nil {
		return err
	}
	attributes, err := queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: queue.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return err
	}
	if _, err := bus.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("heard"), EventPattern: aws.String(`{"source":["csvexport"]}`)}); err != nil {
		return err
	}
	_, err = bus.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: aws.String("heard"), Targets: []eventtypes.Target{{Id: aws.String("1"), Arn: aws.String(attributes.Attributes["QueueArn"])}},
	})
	if err != nil {
		return err
	}
	s.sweeps.Go(func() {
		for ctx.Err() == nil {
			out, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
			if err != nil {
				if ctx.Err() == nil {
					fmt.Fprintln(s.Log, "listen to the bus:", err)
					time.Sleep(pollEvery)
				}
				continue
			}
			for _, m := range out.Messages {
				s.hear(*m.Body)
				if _, err := queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: queue.QueueUrl, ReceiptHandle: m.ReceiptHandle}); err != nil && ctx.Err() == nil {
					fmt.Fprintln(s.Log, "listen to the bus:", err)
				}
			}
		}
	})
	return nil
}

func (s *Suite) hear(event string) {
	var e struct {
		Detail struct{ EventID, ExportID string }
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		fmt.Fprintln(s.Log, "listen to the bus:", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard[e.Detail.ExportID] = append(s.heard[e.Detail.ExportID], e.Detail.EventID)
}

// heardOf returns the different ids of the events of an export.
func (s *Suite) heardOf(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := slices.Clone(s.heard[id])
	slices.Sort(ids)
	return slices.Compact(ids)
}

// checkHeard waits until the bus was told how an export ended, of which not
// everybody hadn't been told any more: and nothing else.
func (t *trial) checkHeard(id string) {
	ended, known := t.endings[id]
	if !known { // and of the trial's own owner
		ended = t.status(id).Status
	}
	switch ended {
	case "processing":
		return
	case "expired", "deleted":
		ended = "completed"
	}
	t.wait("the bus was told of "+id, reachTime, func() bool { return len(t.heardOf(id)) > 0 })
	if got := t.heardOf(id); len(got) != 1 || got[0] != id+"-"+ended {
		t.errorf("export %s ended %s, the bus was told %v", id, ended, got)
	}
}
