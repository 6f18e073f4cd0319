package eventsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// encode is the event that Lambda gives a function for a batch of messages.
func encode(messages []types.Message, queueARN, region string) ([]byte, error) {
	var event events.SQSEvent
	for _, m := range messages {
		record := events.SQSMessage{
			MessageId: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle), Body: aws.ToString(m.Body),
			Md5OfBody: aws.ToString(m.MD5OfBody), Md5OfMessageAttributes: aws.ToString(m.MD5OfMessageAttributes),
			Attributes: m.Attributes, MessageAttributes: map[string]events.SQSMessageAttribute{},
			EventSource: "aws:sqs", EventSourceARN: queueARN, AWSRegion: region,
		}
		for name, a := range m.MessageAttributes {
			record.MessageAttributes[name] = events.SQSMessageAttribute{
				StringValue: a.StringValue, BinaryValue: a.BinaryValue, DataType: aws.ToString(a.DataType),
				StringListValues: []string{}, BinaryListValues: [][]byte{},
			}
		}
		event.Records = append(event.Records, record)
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("encode SQS event: %w", err)
	}
	return payload, nil
}

// succeeded returns the messages that a function with ReportBatchItemFailures
// dealt with. As Lambda documents it, no list of failures or an empty one means
// all of them; an answer that can't be decoded, a failure without identifier
// and an identifier that is not in the batch mean none, and are an error here.
func succeeded(messages []types.Message, answer []byte) ([]types.Message, error) {
	answer = bytes.TrimSpace(answer)
	if len(answer) == 0 {
		return messages, nil
	}
	// Maps, since Lambda distinguishes upper and lower case in keys.
	var object map[string]json.RawMessage
	if err := json.Unmarshal(answer, &object); err != nil {
		return nil, fmt.Errorf("its answer is no batch response: %w", err)
	}
	var items []map[string]*string
	if list := object["batchItemFailures"]; list != nil {
		if err := json.Unmarshal(list, &items); err != nil {
			return nil, fmt.Errorf("its answer is no batch response: %w", err)
		}
	}
	failed := map[string]bool{}
	for _, item := range items {
		id := item["itemIdentifier"]
		if id == nil || *id == "" {
			return nil, errors.New("its answer has a failure without itemIdentifier")
		}
		failed[*id] = true
	}
	var done []types.Message
	for _, m := range messages {
		id := aws.ToString(m.MessageId)
		if !failed[id] {
			done = append(done, m)
		}
		delete(failed, id)
	}
	for id := range failed {
		return nil, fmt.Errorf("its answer names %q, which is not in the batch", id)
	}
	return done, nil
}
