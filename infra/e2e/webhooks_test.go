package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// settingSecret is 32 bytes in base64.
const settingSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// told is a webhook that was received.
type told struct {
	header http.Header
	body   string
}

// listener receives webhooks.
type listener struct {
	url string

	mu     sync.Mutex
	answer func(n int) int // the status of the nth answer, from 1
	got    []told
}

func listen(t *testing.T, answer func(n int) int) *listener {
	t.Helper()
	l := &listener{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got = append(l.got, told{r.Header.Clone(), string(body)})
		w.WriteHeader(l.answer(len(l.got)))
	}))
	t.Cleanup(server.Close)
	l.url = server.URL + "/hook"
	return l
}

func always(status int) func(int) int { return func(int) int { return status } }

func (l *listener) all() []told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]told{}, l.got...)
}

// next waits for the nth webhook.
func (l *listener) next(t *testing.T, n int, within time.Duration) told {
	t.Helper()
	eventually(t, within, "a webhook arrives", func() bool { return len(l.all()) >= n })
	return l.all()[n-1]
}

// verify has the standard's own library say whether a webhook is genuine.
func (w told) verify(t *testing.T, secret, body string) error {
	t.Helper()
	headers := map[string]string{}
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		headers[name] = w.header.Get(name)
	}
	given, err := json.Marshal(map[string]any{"secret": secret, "headers": headers, "body": body})
	if err != nil {
		t.Fatal(err)
	}
	p := installedReaders(t)
	cmd := exec.CommandContext(t.Context(), p.python, p.script("verify_webhook.py"))
	cmd.Stdin = strings.NewReader(string(given))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}

// webhook is a registration as the service shows it.
type webhook struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Description    string     `json:"description"`
	Enabled        bool       `json:"enabled"`
	DisabledReason *string    `json:"disabledReason"`
	DisabledAt     *time.Time `json:"disabledAt"`
	LastFailure    *struct {
		At      time.Time `json:"at"`
		Message string    `json:"message"`
	} `json:"lastFailure"`
	CreatedAt time.Time `json:"createdAt"`
	Secret    string    `json:"secret,omitempty"`
}

func (l *local) register(t *testing.T, url string) (w webhook) {
	t.Helper()
	l.request(t, http.MethodPost, "/webhooks", `{"url":"`+url+`","description":"test"}`).decode(t, http.StatusCreated, "application/json", &w)
	if w.URL != url || !w.Enabled || w.Secret == "" {
		t.Errorf("registered %+v", w)
	}
	return w
}

func (l *local) webhooks(t *testing.T) []webhook {
	t.Helper()
	var list struct {
		Webhooks []webhook `json:"webhooks"`
	}
	l.get(t, "/webhooks").decode(t, http.StatusOK, "application/json", &list)
	return list.Webhooks
}

// Webhooks of an owner, and of the settings, are told of each end, signed, until
// a receiver is gone.
func TestWebhooks(t *testing.T) {
	setting := listen(t, always(200))
	g := newGuarded(t, "WebhookUrls="+setting.url, "WebhookSecret="+settingSecret)
	g.seed(t, smallRows)
	anna, bert := g.as(t, "anna", nil), g.as(t, "bert", nil)
	events := g.events(t)
	ear, others := listen(t, always(204)), listen(t, always(204))
	hook := anna.register(t, ear.url)
	bert.register(t, others.url)

	done := anna.follow(t, anna.create(t).ExportID, time.Minute, nil)
	t.Run("webhook of the owner", func(t *testing.T) {
		w := ear.next(t, 1, 10*time.Second)
		checkTold(t, w, hook.Secret, done)
		if err := w.verify(t, settingSecret, w.body); err == nil {
			t.Error("it is signed by another secret as well")
		}
		if err := w.verify(t, hook.Secret, w.body+" "); err == nil {
			t.Error("another body has the same signature")
		}
	})
	t.Run("webhook of the settings", func(t *testing.T) { checkTold(t, setting.next(t, 1, 10*time.Second), settingSecret, done) })
	t.Run("event", func(t *testing.T) { checkEvent(t, events(t), done, g.issuer.owner("anna")) })
	t.Run("cancelled", func(t *testing.T) {
		unlock := g.lockUsers(t)
		id := anna.create(t).ExportID
		anna.request(t, http.MethodDelete, "/exports/"+id, "")
		cancelled := anna.follow(t, id, time.Minute, nil)
		checkTold(t, ear.next(t, 2, 10*time.Second), hook.Secret, cancelled)
		checkEvent(t, events(t), cancelled, g.issuer.owner("anna"))
		unlock()
	})
	t.Run("others", func(t *testing.T) {
		if got := others.all(); len(got) > 0 {
			t.Errorf("another owner's webhook was told %+v", got)
		}
		if bert.request(t, http.MethodDelete, "/webhooks/"+hook.ID, "").status != http.StatusNoContent || len(anna.webhooks(t)) != 1 {
			t.Error("another owner's delete did something")
		}
	})
	t.Run("down, then gone", func(t *testing.T) { checkRetries(t, anna, setting) })
	t.Run("deleted", func(t *testing.T) {
		for range 2 {
			if a := anna.request(t, http.MethodDelete, "/webhooks/"+hook.ID, ""); a.status != http.StatusNoContent {
				t.Errorf("delete: %d %s", a.status, a.body)
			}
		}
		n := len(ear.all())
		id := anna.follow(t, anna.create(t).ExportID, time.Minute, nil).ExportID
		eventually(t, 10*time.Second, "the setting's webhook arrives", func() bool { return setting.has(id) })
		if got := len(ear.all()); got != n {
			t.Errorf("a deleted webhook was told")
		}
	})
}

// has reports whether the listener was told of an export.
func (l *listener) has(id string) bool {
	for _, w := range l.all() {
		if strings.Contains(w.body, id) {
			return true
		}
	}
	return false
}

// checkRetries has a receiver be down for one attempt and be gone at the next.
func checkRetries(t *testing.T, anna *local, setting *listener) {
	fails := listen(t, func(n int) int { return map[int]int{1: 503, 2: 204}[min(n, 2)] })
	leaves := listen(t, func(n int) int { return map[int]int{1: 500, 2: 410}[min(n, 2)] })
	anna.register(t, fails.url)
	gone := anna.register(t, leaves.url)
	before := len(setting.all())
	done := anna.follow(t, anna.create(t).ExportID, time.Minute, nil)
	for name, l := range map[string]*listener{"fails": fails, "leaves": leaves} {
		first, second := l.next(t, 1, 10*time.Second), l.next(t, 2, 20*time.Second)
		if first.header.Get("webhook-id") != second.header.Get("webhook-id") || first.body != second.body {
			t.Errorf("%s: first %+v, then %+v", name, first, second)
		}
		if first.header.Get("webhook-timestamp") == second.header.Get("webhook-timestamp") {
			t.Errorf("%s: the time of the second attempt is that of the first", name)
		}
	}
	eventually(t, 10*time.Second, "the webhook is disabled", func() bool {
		for _, w := range anna.webhooks(t) {
			if w.ID == gone.ID && !w.Enabled {
				return *w.DisabledReason == "gone" && w.DisabledAt != nil && w.LastFailure.Message == "The receiver answered 410."
			}
		}
		return false
	})
	anna.follow(t, anna.create(t).ExportID, time.Minute, nil)
	fails.next(t, 3, 10*time.Second)
	if got := leaves.all(); len(got) != 2 {
		t.Errorf("who is gone was told %d times", len(got))
	}
	if got := setting.all()[before:]; len(got) < 1 || !strings.Contains(got[0].body, done.ExportID) {
		t.Errorf("another receiver was told %+v", got)
	}
	for _, line := range anna.logs(t, "notify") {
		if strings.Contains(string(line), "/hook") || strings.Contains(string(line), "whsec_") {
			t.Errorf("notify's log has an address or a secret: %s", line)
		}
	}
}

// eventData is what is told of an export.
type eventData struct {
	ExportID    string     `json:"exportId"`
	Status      string     `json:"status"`
	Dataset     string     `json:"dataset"`
	Rows        *int       `json:"rows"`
	Bytes       *int       `json:"bytes"`
	FileName    *string    `json:"fileName"`
	Files       *int       `json:"files"`
	Error       *string    `json:"error"`
	ErrorCode   *string    `json:"errorCode"`
	CreatedAt   *time.Time `json:"createdAt"`
	CompletedAt *time.Time `json:"completedAt"`
	ExpiresAt   *time.Time `json:"expiresAt"`
}

// expected is what must be told of an export with a status.
func expected(s status) eventData {
	d := eventData{
		ExportID: s.ExportID, Status: s.Status, Dataset: s.Dataset, Error: s.Error, ErrorCode: s.ErrorCode,
		CreatedAt: s.CreatedAt, CompletedAt: s.CompletedAt, ExpiresAt: s.ExpiresAt,
	}
	if s.File != nil {
		d.Rows, d.Bytes, d.FileName = s.Progress.TotalRows, &s.File.Bytes, &s.File.Name
	}
	return d
}

// checkTold checks a webhook: that the standard's library takes it, that the
// contract has it, and that it says what the status says.
func checkTold(t *testing.T, w told, secret string, s status) {
	t.Helper()
	if err := w.verify(t, secret, w.body); err != nil {
		t.Errorf("the standard's library: %v", err)
	}
	if id := w.header.Get("webhook-id"); id != s.ExportID+"-"+s.Status || w.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", w.header)
	}
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := json.Unmarshal([]byte(w.body), &whole); err != nil {
		t.Fatal(err)
	}
	if err := c.doc.Components.Schemas["ExportEvent"].Value.VisitJSON(whole, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("the contract: %v\n%s", err, w.body)
	}
	var event struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      eventData `json:"data"`
	}
	if err := json.Unmarshal([]byte(w.body), &event); err != nil {
		t.Fatal(err)
	}
	if event.Type != "export."+s.Status || !event.Timestamp.Equal(*s.CompletedAt) {
		t.Errorf("type %s at %v", event.Type, event.Timestamp)
	}
	if diff := cmp.Diff(expected(s), event.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// busEvent is an event as EventBridge hands it on.
type busEvent struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`
}

// events has the bus hand the service's events to a queue; what it returns
// waits for the next one.
func (l *local) events(t *testing.T) func(t *testing.T) busEvent {
	t.Helper()
	queues, bus := l.Endpoints.SQSClient(), l.Endpoints.EventsClient()
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("events")})
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := queues.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: queue.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bus.PutRule(t.Context(), &eventbridge.PutRuleInput{
		Name: aws.String("exports"), EventPattern: aws.String(`{"source":["csvexport"],"detail-type":[{"prefix":"Export "}]}`),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.PutTargets(t.Context(), &eventbridge.PutTargetsInput{
		Rule: aws.String("exports"), Targets: []eventtypes.Target{{Id: aws.String("1"), Arn: aws.String(attributes.Attributes["QueueArn"])}},
	}); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) (e busEvent) {
		t.Helper()
		out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 1, WaitTimeSeconds: 10})
		if err != nil || len(out.Messages) != 1 {
			t.Fatalf("%d events (%v), want 1", len(out.Messages), err)
		}
		if err := json.Unmarshal([]byte(*out.Messages[0].Body), &e); err != nil {
			t.Fatal(err)
		}
		if _, err := queues.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: queue.QueueUrl, ReceiptHandle: out.Messages[0].ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func checkEvent(t *testing.T, e busEvent, s status, owner string) {
	t.Helper()
	var detail struct {
		EventID string `json:"eventId"`
		Owner   string `json:"owner"`
		eventData
	}
	d := json.NewDecoder(strings.NewReader(string(e.Detail)))
	d.DisallowUnknownFields()
	if err := d.Decode(&detail); err != nil {
		t.Fatal(err)
	}
	if e.Source != "csvexport" || e.DetailType != "Export "+strings.ToUpper(s.Status[:1])+s.Status[1:] || detail.EventID != s.ExportID+"-"+s.Status || detail.Owner != owner {
		t.Errorf("event %+v", e)
	}
	if diff := cmp.Diff(expected(s), detail.eventData); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
}
