// Package eventsource moves messages from an SQS queue to a Lambda function,
// as Lambda's event source mapping does.
package eventsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"csvexport/infra/internal/invoke"
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
	// freshFor is how long a message is held before its visibility timeout
	// begins anew when it is handed out.
	freshFor = time.Second
	// settleTimeout bounds deleting messages or giving them back.
	settleTimeout = 10 * time.Second
	slowestRetry  = 5 * time.Second
	maxBatch      = 10 // messages in a request to SQS
)

// Config is what a poller needs.
type Config struct {
	Source     template.EventSource
	Region     string
	QueueURL   string
	Visibility time.Duration // the queue's visibility timeout
	Client     *sqs.Client
	InvokeURL  string        // base URL of a Lambda Invoke API
	Function   string        // the function's name there
	Grace      time.Duration // how long Run waits for invocations at its end; 0: not at all
	OnError    func(error)   // is told of what went wrong; may be called from several goroutines at once
}

// poller is the state of one Run.
type poller struct {
	Config
	function invoke.Function
	landed   chan []held // each batch whose flight is over; holds all that there can be
	flying   int         // batches that didn't land yet
}

// Run receives messages and invokes the function with them until ctx is done.
// At most MaximumConcurrency batches are in flight. What was received beyond
// them is held, and handed out in a fair order (backlog).
//
// What the function dealt with is deleted; what it failed on, or did not
// answer, comes back after the queue's visibility timeout. When ctx is done,
// what is held goes back to the queue, and the invocations in flight have
// Config.Grace to end; the error says how many did not.
func Run(ctx context.Context, config Config) error {
	concurrency := config.Source.MaximumConcurrency
	if concurrency == 0 {
		concurrency = defaultConcurrency
	}
	p := &poller{Config: config, landed: make(chan []held, concurrency), function: invoke.New(config.InvokeURL, config.Function)}
	defer p.function.Close()
	// Invocations outlive ctx, by Grace at most.
	flightCtx, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	p.handOut(ctx, flightCtx)

	grace := time.NewTimer(config.Grace)
	defer grace.Stop()
	for p.flying > 0 {
		select {
		case <-p.landed:
			p.flying--
		case <-grace.C:
			left := p.flying
			abandon()
			for ; p.flying > 0; p.flying-- {
				<-p.landed
			}
			return fmt.Errorf("invocations for %s still at work after %v: %d; their messages come back after the visibility timeout",
				config.Source.QueueARN, config.Grace, left)
		}
	}
	return nil
}

// handOut starts a flight for each batch until ctx is done, and gives back what
// is held then.
func (p *poller) handOut(ctx, flightCtx context.Context) {
	received := make(chan []types.Message)
	go func() {
		defer close(received)
		p.receiveAll(ctx, flightCtx, received)
	}()
	waiting := newBacklog()
	for ctx.Err() == nil {
		for p.flying < cap(p.landed) {
			batch := waiting.next(time.Now(), p.Source.BatchSize)
			if len(batch) == 0 {
				break
			}
			p.flying++
			go func() {
				defer func() { p.landed <- batch }()
				p.fly(flightCtx, batch)
			}()
		}
		more := received
		if waiting.full() {
			more = nil
		}
		select {
		case <-ctx.Done():
		case messages := <-more:
			waiting.add(messages, time.Now(), p.Visibility)
		case batch := <-p.landed:
			p.flying--
			waiting.land(batch, time.Now())
		}
	}
	for messages := range received {
		waiting.add(messages, time.Now(), p.Visibility)
	}
	for batch := waiting.next(time.Now(), maxBatch); len(batch) > 0; batch = waiting.next(time.Now(), maxBatch) {
		p.giveBack(flightCtx, messagesOf(batch), 0)
	}
}

// receiveAll hands on what the queue has until ctx is done.
func (p *poller) receiveAll(ctx, flightCtx context.Context, received chan<- []types.Message) {
	retry := backoff{}
	for ctx.Err() == nil {
		messages, err := p.receive(flightCtx)
		if err != nil {
			if ctx.Err() == nil {
				p.OnError(fmt.Errorf("receive from %s: %w", p.QueueURL, err))
			}
			retry.wait(ctx)
			continue
		}
		retry = backoff{}
		if len(messages) > 0 {
			received <- messages
		}
	}
}

func (p *poller) receive(ctx context.Context) ([]types.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, pollWait+settleTimeout)
	defer cancel()
	out, err := p.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    &p.QueueURL,
		MaxNumberOfMessages:         maxBatch,
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
func (p *poller) fly(ctx context.Context, batch []held) {
	messages := p.renew(ctx, batch)
	if len(messages) == 0 {
		return
	}
	payload, err := encode(messages, p.Source.QueueARN, p.Region)
	if err != nil {
		p.OnError(err)
		return
	}
	retry, begin := backoff{}, time.Now()
	answer, err := p.function.Invoke(ctx, payload)
	for errors.Is(err, invoke.ErrNotRun) && time.Since(begin) < throttledFor {
		retry.wait(ctx)
		answer, err = p.function.Invoke(ctx, payload)
	}
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, invoke.ErrNotRun):
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

// renew gives a batch that was held for a while the whole of its visibility
// timeout again. A message for which that fails is left out: SQS may deliver it again.
func (p *poller) renew(ctx context.Context, batch []held) []types.Message {
	messages := messagesOf(batch)
	if !slices.ContainsFunc(batch, func(h held) bool { return time.Since(h.received) >= freshFor }) {
		return messages
	}
	lost, err := p.changeVisibility(ctx, messages, p.Visibility)
	if err != nil {
		p.OnError(fmt.Errorf("renew the visibility timeout in %s: %w", p.QueueURL, err))
		return nil
	}
	return slices.DeleteFunc(messages, func(m types.Message) bool { return slices.Contains(lost, aws.ToString(m.MessageId)) })
}

func messagesOf(batch []held) []types.Message {
	messages := make([]types.Message, len(batch))
	for i, h := range batch {
		messages[i] = h.Message
	}
	return messages
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
	if _, err := p.changeVisibility(ctx, messages, after); err != nil {
		p.OnError(fmt.Errorf("give messages back to %s: %w", p.QueueURL, err))
	}
}

// changeVisibility has messages stay out of sight for a while from now on. It
// returns the ids of those for which SQS refused that.
func (p *poller) changeVisibility(ctx context.Context, messages []types.Message, hidden time.Duration) (refused []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &p.QueueURL}
	for _, m := range messages {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: m.MessageId, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: int32(hidden.Seconds()),
		})
	}
	out, err := p.Client.ChangeMessageVisibilityBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, f := range out.Failed {
		refused = append(refused, aws.ToString(f.Id))
	}
	return refused, nil
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
