package queue_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

const id = "01936f2a-7c00-7000-8000-000000000000"

func TestQueue_Send(t *testing.T) {
	url := servertest.Queue(t)
	sent := queue.Message{ExportID: id, Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	if err := queue.New(servertest.AWS(t), url).Send(t.Context(), "owner", sent, 0); err != nil {
		t.Fatal(err)
	}
	out, err := sqs.NewFromConfig(servertest.AWS(t)).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("received %d messages (%v), want 1", len(out.Messages), err)
	}
	m := out.Messages[0]
	var body map[string]any
	if err := json.Unmarshal([]byte(*m.Body), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"v": 1.0, "exportId": id, "traceparent": sent.Traceparent}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := m.Attributes["MessageGroupId"]; got != "owner" {
		t.Errorf("message group %q, want the owner", got)
	}
	if got, err := queue.Decode(*m.Body); err != nil || got != sent {
		t.Errorf("Decode = %+v, %v; want %+v", got, err, sent)
	}
}

func TestQueue_Send_error(t *testing.T) {
	q := queue.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "http://127.0.0.1:1/queue")
	if err := q.Send(t.Context(), "owner", queue.Message{ExportID: id}, 0); export.CodeOf(err) != export.Unavailable {
		t.Errorf("error %v, want code %s", err, export.Unavailable)
	}
}

func TestDecode_refuses(t *testing.T) {
	for _, body := range []string{"", "null", "{}", "[]", "x", `{"v":2,"exportId":"` + id + `"}`, `{"v":1}`, `{"v":1,"exportId":"../../etc"}`} {
		if m, err := queue.Decode(body); err == nil {
			t.Errorf("Decode(%q) = %+v, want an error", body, m)
		} else if strings.TrimSpace(err.Error()) == "" {
			t.Errorf("Decode(%q): an error without a word", body)
		}
	}
}
