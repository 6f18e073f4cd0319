package eventsource_test

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/goleak"

	"csvexport/infra/internal/eventsource"
	"csvexport/infra/internal/template"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const queueARN = "arn:aws:sqs:us-east-1:000000000000:test"

// queue is a queue of the test's own on the SQS stand-in.
type queue struct {
	t      *testing.T
	client *sqs.Client
	url    string
	hidden time.Duration // visibility timeout
}

// readBodies hides WriteTo of smithy-go's request bodies, or answers are lost
// and requests repeated; see localaws.
type readBodies struct{ *http.Transport }

func (b readBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return b.Transport.RoundTrip(r)
}

func newQueue(t *testing.T, visibilitySeconds int) *queue {
	t.Helper()
	endpoint := os.Getenv("TEST_SQS_URL")
	if endpoint == "" {
		t.Fatal("TEST_SQS_URL is not set: run the tests by make test, which starts the stand-ins")
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	q := &queue{t: t, hidden: time.Duration(visibilitySeconds) * time.Second, client: sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: readBodies{transport}},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})}
	out, err := q.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName:  aws.String(fmt.Sprintf("poller-%d", time.Now().UnixNano())),
		Attributes: map[string]string{"VisibilityTimeout": fmt.Sprint(visibilitySeconds)},
	})
	if err != nil {
		t.Fatal(err)
	}
	q.url = *out.QueueUrl
	t.Cleanup(func() {
		if _, err := q.client.DeleteQueue(context.WithoutCancel(t.Context()), &sqs.DeleteQueueInput{QueueUrl: &q.url}); err != nil {
			t.Error(err)
		}
	})
	return q
}

func (q *queue) send(body string) { q.sendAs("owner-1", body) }

func (q *queue) sendAs(group, body string) {
	q.t.Helper()
	if _, err := q.client.SendMessage(q.t.Context(), &sqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: &body, MessageGroupId: &group,
		MessageAttributes: map[string]types.MessageAttributeValue{"kind": {DataType: aws.String("String"), StringValue: aws.String("export")}},
	}); err != nil {
		q.t.Fatal(err)
	}
}

// count is the number of messages that can be received, and of those in flight.
func (q *queue) count() string {
	q.t.Helper()
	visible, hidden := types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible
	out, err := q.client.GetQueueAttributes(q.t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{visible, hidden},
	})
	if err != nil {
		q.t.Fatal(err)
	}
	return out.Attributes[string(visible)] + " visible, " + out.Attributes[string(hidden)] + " in flight"
}

// function stands behind an Invoke API and notes what it was given.
type function struct {
	mu      sync.Mutex
	events  []events.SQSEvent
	running atomic.Int32
	most    int32
	answer  func(call int, e events.SQSEvent, w http.ResponseWriter)
}

func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/2015-03-31/functions/Run/invocations" {
		http.Error(w, r.Method+" "+r.URL.Path, http.StatusNotFound)
		return
	}
	defer f.running.Add(-1)
	now := f.running.Add(1)
	var e events.SQSEvent
	err := json.NewDecoder(r.Body).Decode(&e)
	f.mu.Lock()
	f.most = max(f.most, now)
	f.events = append(f.events, e)
	call := len(f.events)
	f.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.answer(call, e, w)
}

// calls lists the bodies of the messages of each invocation, with their receive counts.
func (f *function) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var calls []string
	for _, e := range f.events {
		var bodies []string
		for _, m := range e.Records {
			bodies = append(bodies, m.Body+"#"+m.Attributes["ApproximateReceiveCount"])
		}
		calls = append(calls, strings.Join(bodies, " "))
	}
	return calls
}

// polling is a poller at work between a queue and a function.
type polling struct {
	now func() error // ends it and returns Run's error

	mu     sync.Mutex
	errors []string
}

// problems is what was reported to OnError, one a line.
func (p *polling) problems() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.errors, "\n")
}

func poll(t *testing.T, q *queue, f *function, source template.EventSource, grace time.Duration) *polling {
	t.Helper()
	server := httptest.NewServer(f)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	p := &polling{}
	source.QueueARN = queueARN
	go func() {
		done <- eventsource.Run(ctx, eventsource.Config{
			Source: source, Region: "us-east-1", QueueURL: q.url, Visibility: q.hidden, Client: q.client,
			InvokeURL: server.URL, Function: "Run", Grace: grace,
			OnError: func(err error) { p.mu.Lock(); p.errors = append(p.errors, err.Error()); p.mu.Unlock() },
		})
	}()
	p.now = sync.OnceValue(func() error {
		cancel()
		err := <-done
		server.Close()
		return err
	})
	t.Cleanup(func() { _ = p.now() })
	return p
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func (q *queue) waitFor(want string) {
	q.t.Helper()
	eventually(q.t, want, func() bool { return q.count() == want })
}

func TestRun_Event(t *testing.T) {
	q := newQueue(t, 30)
	f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) {}}
	p := poll(t, q, f, template.EventSource{BatchSize: 1}, 5*time.Second)
	q.send(`{"v":1}`)
	eventually(t, "the function is invoked", func() bool { return len(f.calls()) == 1 })
	q.waitFor("0 visible, 0 in flight")
	if err := p.now(); err != nil || p.problems() != "" {
		t.Errorf("error %v, problems %q", err, p.problems())
	}
	m := f.events[0].Records[0]
	if m.Body != `{"v":1}` || m.MessageId == "" || m.ReceiptHandle == "" || m.EventSource != "aws:sqs" || m.EventSourceARN != queueARN || m.AWSRegion != "us-east-1" {
		t.Errorf("message %+v", m)
	}
	if want := fmt.Sprintf("%x", md5.Sum([]byte(m.Body))); m.Md5OfBody != want {
		t.Errorf("md5OfBody %q", m.Md5OfBody)
	}
	if a := m.Attributes; a["ApproximateReceiveCount"] != "1" || a["SentTimestamp"] == "" || a["MessageGroupId"] != "owner-1" {
		t.Errorf("attributes %v", a)
	}
	if a := m.MessageAttributes["kind"]; a.StringValue == nil || *a.StringValue != "export" || a.DataType != "String" {
		t.Errorf("message attributes %+v", m.MessageAttributes)
	}
}

func TestRun_Concurrency(t *testing.T) {
	q := newQueue(t, 30)
	gate := make(chan struct{})
	f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) { <-gate }}
	for i := range 5 {
		q.send(fmt.Sprint(i))
	}
	p := poll(t, q, f, template.EventSource{BatchSize: 1, MaximumConcurrency: 3}, 5*time.Second)
	eventually(t, "three at once", func() bool { return f.running.Load() == 3 })
	q.waitFor("0 visible, 5 in flight") // two are held, for a fair choice
	close(gate)
	q.waitFor("0 visible, 0 in flight")
	if err := p.now(); err != nil || p.problems() != "" || f.most != 3 || len(f.calls()) != 5 {
		t.Errorf("error %v, problems %q, %d at once, calls %q", err, p.problems(), f.most, f.calls())
	}
}

func TestRun_Outcomes(t *testing.T) {
	fail := func(_ events.SQSEvent, w http.ResponseWriter) {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		fmt.Fprint(w, `{"errorMessage":"no table"}`)
	}
	tests := map[string]struct {
		report  bool
		first   func(events.SQSEvent, http.ResponseWriter) // answers the first invocation; the others succeed
		calls   []string
		problem string
	}{
		"function error": {true, fail, []string{"a#1", "a#2"}, "no table"},
		"reported": {true, func(e events.SQSEvent, w http.ResponseWriter) {
			fmt.Fprintf(w, `{"batchItemFailures":[{"itemIdentifier":%q}]}`, e.Records[0].MessageId)
		}, []string{"a#1", "a#2"}, ""},
		"reports are not asked for": {false, func(e events.SQSEvent, w http.ResponseWriter) {
			fmt.Fprintf(w, `{"batchItemFailures":[{"itemIdentifier":%q}]}`, e.Records[0].MessageId)
		}, []string{"a#1"}, ""},
		"not decodable": {true, func(_ events.SQSEvent, w http.ResponseWriter) { fmt.Fprint(w, `"done"`) }, []string{"a#1", "a#2"}, "no batch response"},
		"throttled": {true, func(_ events.SQSEvent, w http.ResponseWriter) {
			http.Error(w, "{}", http.StatusTooManyRequests)
		}, []string{"a#1", "a#1"}, ""}, // the same delivery is offered again
		"unknown function": {true, func(_ events.SQSEvent, w http.ResponseWriter) {
			http.Error(w, "no such function", http.StatusNotFound)
		}, []string{"a#1", "a#2"}, "404 Not Found: no such function"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t, 1)
			f := &function{answer: func(call int, e events.SQSEvent, w http.ResponseWriter) {
				if call == 1 {
					tt.first(e, w)
				}
			}}
			q.send("a")
			p := poll(t, q, f, template.EventSource{BatchSize: 1, ReportBatchItemFailures: tt.report}, 5*time.Second)
			eventually(t, "all invocations", func() bool { return len(f.calls()) >= len(tt.calls) })
			q.waitFor("0 visible, 0 in flight")
			err := p.now()
			if got := strings.Join(f.calls(), ", "); err != nil || got != strings.Join(tt.calls, ", ") {
				t.Errorf("error %v, calls %s, want %v", err, got, tt.calls)
			}
			if all := p.problems(); (all == "") != (tt.problem == "") || !strings.Contains(all, tt.problem) {
				t.Errorf("problems %q, want %q", all, tt.problem)
			}
		})
	}
}

func TestRun_PartOfBatchFails(t *testing.T) {
	q := newQueue(t, 1)
	f := &function{answer: func(call int, e events.SQSEvent, w http.ResponseWriter) {
		for _, m := range e.Records {
			if m.Body == "b" && m.Attributes["ApproximateReceiveCount"] == "1" {
				fmt.Fprintf(w, `{"batchItemFailures":[{"itemIdentifier":%q}]}`, m.MessageId)
			}
		}
	}}
	for _, body := range []string{"a", "b", "c"} {
		q.send(body)
	}
	p := poll(t, q, f, template.EventSource{BatchSize: 10, MaximumConcurrency: 2, ReportBatchItemFailures: true}, 5*time.Second)
	eventually(t, "b is delivered again", func() bool {
		calls := f.calls()
		return len(calls) > 0 && calls[len(calls)-1] == "b#2"
	})
	q.waitFor("0 visible, 0 in flight")
	if err := p.now(); err != nil || p.problems() != "" {
		t.Errorf("error %v, problems %q", err, p.problems())
	}
	for _, call := range f.calls()[1:] {
		if strings.Contains(call, "a#2") || strings.Contains(call, "c#2") {
			t.Errorf("calls %q: what succeeded came back", f.calls())
		}
	}
}

func TestRun_End(t *testing.T) {
	t.Run("waits for work", func(t *testing.T) {
		q := newQueue(t, 30)
		f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) { time.Sleep(300 * time.Millisecond) }}
		q.send("a")
		p := poll(t, q, f, template.EventSource{BatchSize: 1}, 10*time.Second)
		eventually(t, "at work", func() bool { return f.running.Load() == 1 })
		if err := p.now(); err != nil || p.problems() != "" {
			t.Errorf("error %v, problems %q", err, p.problems())
		}
		q.waitFor("0 visible, 0 in flight")
	})
	t.Run("not for ever", func(t *testing.T) {
		q := newQueue(t, 30)
		gate := make(chan struct{})
		f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) { <-gate }}
		q.send("a")
		p := poll(t, q, f, template.EventSource{BatchSize: 1}, 50*time.Millisecond)
		eventually(t, "at work", func() bool { return f.running.Load() == 1 })
		time.AfterFunc(3*time.Second, func() { close(gate) }) // lets the test's own server end
		err := p.now()
		if err == nil || !strings.HasPrefix(err.Error(), "invocations for "+queueARN+" still at work after 50ms: 1;") {
			t.Errorf("error %v", err)
		}
		q.waitFor("0 visible, 1 in flight")
	})
}

func TestRun_QueueOutOfReach(t *testing.T) {
	q := newQueue(t, 30)
	gone := &queue{t: t, client: q.client, url: q.url + "-gone"}
	f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) {}}
	p := poll(t, gone, f, template.EventSource{BatchSize: 1}, time.Second)
	eventually(t, "the problem is told", func() bool { return p.problems() != "" })
	if err := p.now(); err != nil || !strings.HasPrefix(p.problems(), "receive from "+gone.url+": ") {
		t.Errorf("error %v, problems %q", err, p.problems())
	}
}
