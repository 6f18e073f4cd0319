package eventsource

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestSucceeded(t *testing.T) {
	tests := map[string]struct {
		answer  string
		done    string
		problem string
	}{
		"empty answer":       {``, "a b", ""},
		"null":               {`null`, "a b", ""},
		"empty object":       {`{}`, "a b", ""},
		"empty list":         {`{"batchItemFailures":[]}`, "a b", ""},
		"null list":          {`{"batchItemFailures":null}`, "a b", ""},
		"one failed":         {`{"batchItemFailures":[{"itemIdentifier":"a"}]}`, "b", ""},
		"named twice":        {`{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"a"}]}`, "b", ""},
		"all failed":         {`{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}`, "", ""},
		"not JSON":           {`oops`, "", "no batch response"},
		"a text":             {`"done"`, "", "no batch response"},
		"list of texts":      {`{"batchItemFailures":["a"]}`, "", "no batch response"},
		"empty identifier":   {`{"batchItemFailures":[{"itemIdentifier":""}]}`, "", "without itemIdentifier"},
		"null identifier":    {`{"batchItemFailures":[{"itemIdentifier":null}]}`, "", "without itemIdentifier"},
		"wrong key":          {`{"batchItemFailures":[{"ItemIdentifier":"a"}]}`, "", "without itemIdentifier"},
		"unknown identifier": {`{"batchItemFailures":[{"itemIdentifier":"c"}]}`, "", `names "c"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			done, err := succeeded([]types.Message{{MessageId: aws.String("a")}, {MessageId: aws.String("b")}}, []byte(tt.answer))
			var ids []string
			for _, m := range done {
				ids = append(ids, *m.MessageId)
			}
			if got := strings.Join(ids, " "); got != tt.done {
				t.Errorf("done %q, want %q", got, tt.done)
			}
			if (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("error %v, want %q", err, tt.problem)
			}
		})
	}
}
