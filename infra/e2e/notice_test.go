package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
)

// What ends an export leaves a notice, in a settled form, and a message; and a
// stack that isn't told otherwise sends webhooks to public addresses only.
func TestNotice(t *testing.T) {
	l, err := up(stackName("notice"), "-ephemeral", "-port", "0", "-requests-only", "-param", "WebhookAddresses=public")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	id := l.create(t).ExportID
	l.request(t, http.MethodDelete, "/exports/"+id, "")
	s := decodeStatus(t, l.get(t, "/exports/"+id+"/status"), http.StatusOK)
	out, err := l.Endpoints.DynamoDBClient().GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &l.Table, ConsistentRead: aws.Bool(true), Key: map[string]dynamo.AttributeValue{
			"pk": &dynamo.AttributeValueMemberS{Value: "export#" + id}, "sk": &dynamo.AttributeValueMemberS{Value: "notice"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	const milliseconds = "2006-01-02T15:04:05.000Z"
	want := map[string]any{
		"pk": "export#" + id, "sk": "notice", "v": number(1), "ownerId": "anonymous", "status": "cancelled", "at": s.CompletedAt.Format(milliseconds),
		"rev": number(0), "sends": number(0), "dueShard": "0", "dueAt": s.CompletedAt.Add(time.Minute).Format(milliseconds),
		"ttl": number(s.CompletedAt.Add(37 * 24 * time.Hour).Unix()),
	}
	if diff := cmp.Diff(want, plainMap(t, out.Item)); diff != "" {
		t.Errorf("notice (-want +got):\n%s", diff)
	}
	messages, err := l.Endpoints.SQSClient().ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &l.NotifyQueueURL, WaitTimeSeconds: 5, MaxNumberOfMessages: 10})
	if err != nil || len(messages.Messages) != 1 || !strings.HasPrefix(*messages.Messages[0].Body, `{"v":1,"exportId":"`+id+`","traceparent":"00-`) {
		t.Errorf("messages %+v (%v)", messages, err)
	}
	for _, url := range []string{"http://hooks.example.com", "https://127.0.0.1:8443", "https://169.254.169.254/", "https://[fd00:ec2::254]/", "https://[::ffff:10.0.0.1]/", "https://localhost"} {
		checkProblem(t, l.request(t, http.MethodPost, "/webhooks", `{"url":"`+url+`"}`), http.StatusBadRequest, "invalid_request")
	}
	again := func(url string) answer { return l.request(t, http.MethodPost, "/webhooks", `{"url":"`+url+`"}`) }
	for i := range 10 { // two of each URL
		l.register(t, fmt.Sprintf("https://hooks.example.com/exports/%d", i/2))
		if i == 1 {
			checkProblem(t, again("https://hooks.example.com/exports/0"), http.StatusForbidden, "forbidden")
		}
	}
	checkProblem(t, again("https://hooks.example.com"), http.StatusForbidden, "forbidden")
}
