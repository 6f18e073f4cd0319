// Package eventsource moves messages from an SQS queue to a Lambda function,
// as Lambda's event source mapping does.
package eventsource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"csvexport/infra/internal/template"
)

const (
	// defaultConcurrency is the number of batches at once with which Lambda begins on a standard queue.
	defaultConcurrency = 5
	// pollWait is how long a receive waits for a message, and so the longest
	// that Run goes on receiving after its context is done: a receive that were
	// cut off could take a message along, out of sight until its visibility timeout.
	pollWait = time.Second
	// throttledFor is how long a batch is offered to a function that is busy
	// before its messages go back to the queue, and goBackAfter for how long they stay out of sight then.
	throttledFor = 15 * time.Second
	goBackAfter  = 5 * time.Second
	// settleTimeout bounds deleting messages or giving them back.
	settleTimeout = 10 * time.Second
	slowestRetry  = 5 * time.Second
)

// Config is what a poller needs.
type Config struct {
	Source    template.EventSource
	Region    string
	QueueURL  string
	Client    *sqs.Client
	InvokeURL string        // base URL of a Lambda Invoke API
	Function  string        // the function's name there
	Grace     time.Duration // how long Run waits for invocations at its end; 0: not at all
	OnError   func(error)   // is told of what went wrong; may be called from several goroutines at once
}

// poller is the state of one Run.
type poller struct {
	Config
	invoker invoker
	slots   chan struct{} // one for each batch in flight
	flights sync.WaitGroup
}

// Run receives messages and invokes the function with them until ctx is done.
// At most MaximumConcurrency batches are in flight, and no message is received
// that can't be given to the function at once.
//
// What the function dealt with is deleted; what it failed on, or did not
// answer, comes back after the queue's visibility timeout. When ctx is done
// the invocations in flight have Config.Grace to end; the error says how many did not.
func Run(ctx context.Context, config Config) error {
	concurrency := config.Source.MaximumConcurrency
	if concurrency == 0 {
		concurrency = defaultConcurrency
	}
	p := &poller{
		Config: config, slots: make(chan struct{}, concurrency), invoker: newInvoker(config.InvokeURL, config.Function),
	}
	defer p.invoker.close()
	// Invocations outlive ctx, by Grace at most.
	flightCtx, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	p.receiveAll(ctx, flightCtx)

	done := make(chan struct{})
	go func() {
		p.flights.Wait()
		close(done)
	}()
	grace := time.NewTimer(config.Grace)
	defer grace.Stop()
	select {
	case <-done:
		return nil
	case <-grace.C:
		left := len(p.slots)
		abandon()
		<-done
		if left == 0 {
			return nil
		}
		return fmt.Errorf("invocations for %s still at work after %v: %d; their messages come back after the visibility timeout",
			config.Source.QueueARN, config.Grace, left)
	}
}

// receiveAll starts a flight for each batch until ctx is done.
func (p *poller) receiveAll(ctx, flightCtx context.Context) {
	retry := backoff{}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case p.slots <- struct{}{}:
		}
		messages, err := p.receive(flightCtx)
		switch {
		case err != nil:
			<-p.slots
			if ctx.Err() == nil {
				p.OnError(fmt.Errorf("receive from %s: %w", p.QueueURL, err))
			}
			retry.wait(ctx)
			continue
		case len(messages) == 0:
			<-p.slots
		case ctx.Err() != nil:
			p.giveBack(flightCtx, messages, 0)
			<-p.slots
		default:
			p.flights.Go(func() {
				defer func() { <-p.slots }()
				p.fly(flightCtx, messages)
			})
		}
		retry = backoff{}
	}
}

func (p *poller) receive(ctx context.Context) ([]types.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, pollWait+settleTimeout)
	defer cancel()
	out, err := p.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    &p.QueueURL,
		MaxNumberOfMessages:         int32(p.Source.BatchSize), //nolint:gosec // the template allows 1 to 10
		WaitTimeSeconds:             int32(pollWait.Seconds()),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	})
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// fly takes one batch to the function and settles its messages.
func (p *poller) fly(ctx context.Context, messages []types.Message) {
	payload, err := encode(messages, p.Source.QueueARN, p.Region)
	if err != nil {
		p.OnError(err)
		return
	}
	retry, begin := backoff{}, time.Now()
	answer, err := p.invoker.invoke(ctx, payload)
	for errors.Is(err, errNotRun) && time.Since(begin) < throttledFor {
		retry.wait(ctx)
		answer, err = p.invoker.invoke(ctx, payload)
	}
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, errNotRun):
		p.OnError(err)
		p.giveBack(ctx, messages, goBackAfter)
		return
	case err != nil:
		p.OnError(err)
		return
	}
	done := messages
	if p.Source.ReportBatchItemFailures {
		if done, err = succeeded(messages, answer); err != nil {
			p.OnError(fmt.Errorf("%s: %w", p.Function, err))
		}
	}
	p.remove(ctx, done)
}

// remove deletes messages. One that stays is delivered again, as SQS may do anyway.
func (p *poller) remove(ctx context.Context, messages []types.Message) {
	if len(messages) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &p.QueueURL}
	for i, m := range messages {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{
			Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle,
		})
	}
	out, err := p.Client.DeleteMessageBatch(ctx, in)
	if err == nil && len(out.Failed) > 0 {
		err = errors.New(aws.ToString(out.Failed[0].Message))
	}
	if err != nil {
		p.OnError(fmt.Errorf("delete from %s: %w", p.QueueURL, err))
	}
}

// giveBack makes messages visible again, after a while. One that can't be is
// visible after the queue's visibility timeout.
func (p *poller) giveBack(ctx context.Context, messages []types.Message, after time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &p.QueueURL}
	for i, m := range messages {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: int32(after.Seconds()),
		})
	}
	if _, err := p.Client.ChangeMessageVisibilityBatch(ctx, in); err != nil {
		p.OnError(fmt.Errorf("give messages back to %s: %w", p.QueueURL, err))
	}
}

// backoff waits longer each time, from 50 ms to slowestRetry.
type backoff struct{ next time.Duration }

func (b *backoff) wait(ctx context.Context) {
	b.next = min(max(2*b.next, 50*time.Millisecond), slowestRetry)
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
