package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/notify"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
	"csvexport/internal/webhook"
)

type fixture struct {
	*notify.Notifier
}

func newFixture(t *testing.T, urls ...string) fixture {
	t.Helper()
	cfg := servertest.AWS(t)
	return fixture{&notify.Notifier{
		Jobs: jobs.New(cfg, servertest.Table(t)), Queue: queue.New(cfg, servertest.Queue(t)),
		Receivers: notify.Receivers{
			Sender: webhook.NewSender(webhook.Any), URLs: urls,
			Secrets: func(context.Context) (webhook.Secrets, error) { return webhook.ParseSecrets(webhook.NewSecret()) },
		},
	}}
}

// ended makes an export of the owner's that ended just now.
func (f fixture) ended(t *testing.T, owner string, status export.Status) export.Export {
	t.Helper()
	now, ctx := time.Now().UTC().Truncate(time.Millisecond), t.Context()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: owner, Spec: export.Spec{Dataset: "users"}, Token: "token", Traceparent: "trace",
		Status: export.Processing, Phase: export.Queued, CreatedAt: now.Add(-time.Minute), DueAt: now,
	}
	err := f.Jobs.Create(ctx, e)
	if err == nil && status != export.Cancelled {
		e, err = f.Jobs.Claim(ctx, e, "worker", now)
	}
	if err != nil {
		t.Fatal(err)
	}
	switch status {
	case export.Cancelled:
		err = f.Jobs.Cancel(ctx, e, now, time.Hour)
	case export.Failed:
		err = f.Jobs.Fail(ctx, e, export.Failure{Code: export.RowLimit, Message: "Too many rows."}, now, time.Hour)
	default:
		if err = f.Jobs.Finalize(ctx, e, export.Result{Rows: 7, Bytes: 70, UncompressedBytes: 700, Key: e.Key(1)}); err == nil {
			err = f.Jobs.Complete(ctx, e, now, now.Add(time.Hour))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if e, err = f.Jobs.Get(ctx, e.ID); err != nil {
		t.Fatal(err)
	}
	return e
}

// tell has the notifier told of an export's end.
func (f fixture) tell(t *testing.T, e export.Export) {
	t.Helper()
	if err := f.Notify(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
}

// open returns the names of those who must still be told; none if nobody.
func (f fixture) open(t *testing.T, e export.Export) map[string]export.Delivery {
	t.Helper()
	n, err := f.Jobs.Notice(t.Context(), e.ID)
	if err != nil && export.CodeOf(err) != export.NotFound {
		t.Fatal(err)
	}
	return n.Deliveries
}

func (f fixture) register(t *testing.T, owner, url string) export.Webhook {
	t.Helper()
	h := export.Webhook{ID: uuid.Must(uuid.NewV7()).String(), URL: url, Secret: webhook.NewSecret(), CreatedAt: time.Now()}
	if err := f.Jobs.AddWebhook(t.Context(), owner, h); err != nil {
		t.Fatal(err)
	}
	return h
}

// receiver keeps what it is sent, and answers with a status.
type receiver struct {
	url string

	mu     sync.Mutex
	status int
	ids    []string
	bodies []string
}

func newReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	r := &receiver{status: status}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ids, r.bodies = append(r.ids, req.Header.Get("webhook-id")), append(r.bodies, string(body))
		w.WriteHeader(r.status)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) want(t *testing.T, ids ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(ids, r.ids); diff != "" {
		t.Errorf("ids received (-want +got):\n%s", diff)
	}
}

// Each who must be told is told once, others hear nothing, and the notice goes.
func TestNotifier(t *testing.T) {
	setting, annas, berts := newReceiver(t, 200), newReceiver(t, 204), newReceiver(t, 200)
	f := newFixture(t, setting.url)
	f.register(t, "anna", annas.url)
	f.register(t, "bert", berts.url)
	e := f.ended(t, "anna", export.Completed)
	log := servertest.Log(t)
	for range 2 {
		f.tell(t, e)
	}
	setting.want(t, e.ID+"-completed")
	annas.want(t, e.ID+"-completed")
	berts.want(t)
	if open := f.open(t, e); open != nil {
		t.Errorf("still open: %v", open)
	}
	servertest.WantMetrics(t, log(), map[string]float64{"Deliveries": 2})
}

// What is told has each field of docs/events.md and no other.
func TestNotifier_payload(t *testing.T) {
	r := newReceiver(t, 200)
	f := newFixture(t, r.url)
	for i, test := range []struct {
		status export.Status
		data   map[string]any
	}{
		{export.Completed, map[string]any{"rows": 7.0, "bytes": 70.0, "files": nil, "error": nil, "errorCode": nil}},
		{export.Failed, map[string]any{"rows": nil, "bytes": nil, "fileName": nil, "files": nil, "expiresAt": nil, "error": "Too many rows.", "errorCode": "row_limit"}},
		{export.Cancelled, map[string]any{"rows": nil, "bytes": nil, "fileName": nil, "files": nil, "expiresAt": nil, "error": nil, "errorCode": nil}},
	} {
		e := f.ended(t, "anna", test.status)
		f.tell(t, e)
		var got map[string]any
		if err := json.Unmarshal([]byte(r.bodies[i]), &got); err != nil {
			t.Fatal(err)
		}
		at := e.CompletedAt.Format(time.RFC3339Nano)
		test.data["exportId"], test.data["status"], test.data["dataset"] = e.ID, string(test.status), "users"
		test.data["createdAt"], test.data["completedAt"] = e.CreatedAt.Format(time.RFC3339Nano), at
		if test.status == export.Completed {
			test.data["fileName"], test.data["expiresAt"] = e.FileName(), e.ExpiresAt.Format(time.RFC3339Nano)
		}
		if diff := cmp.Diff(map[string]any{"type": "export." + string(test.status), "timestamp": at, "data": test.data}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.status, diff)
		}
		if strings.Contains(r.bodies[i], "anna") {
			t.Errorf("the owner is told: %s", r.bodies[i])
		}
	}
}

// The file may be gone by the time of a delivery: what is told stays the same.
func TestNotifier_deletedMeanwhile(t *testing.T) {
	r := newReceiver(t, 500)
	f := newFixture(t, r.url)
	e := f.ended(t, "anna", export.Completed)
	f.tell(t, e)
	if err := f.Jobs.Delete(t.Context(), e, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.due(t, e)
	f.tell(t, e)
	r.want(t, e.ID+"-completed", e.ID+"-completed")
	if r.bodies[0] != r.bodies[1] {
		t.Errorf("first %s\nthen %s", r.bodies[0], r.bodies[1])
	}
}

// due makes all that is open due now.
func (f fixture) due(t *testing.T, e export.Export) {
	t.Helper()
	n, err := f.Jobs.Notice(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range n.Deliveries {
		d.Next = time.Now()
		n.Deliveries[name] = d
	}
	if err := f.Jobs.RecordNotice(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// One that fails is told again, alone, and its owner sees why.
func TestNotifier_oneFails(t *testing.T) {
	good, bad := newReceiver(t, 200), newReceiver(t, 500)
	f := newFixture(t)
	f.register(t, "anna", good.url)
	h := f.register(t, "anna", bad.url)
	e := f.ended(t, "anna", export.Failed)
	f.tell(t, e)
	open := f.open(t, e)
	if d := open["webhook "+h.ID]; len(open) != 1 || d.Attempts != 1 || time.Until(d.Next) < 4*time.Second || time.Until(d.Next) > 6*time.Second {
		t.Errorf("open: %+v", open)
	}
	hooks, err := f.Jobs.Webhooks(t.Context(), "anna")
	if err != nil || hooks[0].LastFailure != nil || hooks[1].LastFailure == nil || hooks[1].LastFailure.Message != "The receiver answered 500." {
		t.Errorf("webhooks %+v (%v)", hooks, err)
	}
	f.tell(t, e) // too early
	bad.status = 200
	f.due(t, e)
	f.tell(t, e)
	good.want(t, e.ID+"-failed")
	bad.want(t, e.ID+"-failed", e.ID+"-failed")
	if open := f.open(t, e); open != nil {
		t.Errorf("still open: %v", open)
	}
}

// A receiver that is gone isn't asked any more: a webhook that its owner sees
// disabled, an address of the settings until they change.
func TestNotifier_gone(t *testing.T) {
	setting, hook, other := newReceiver(t, 410), newReceiver(t, 410), newReceiver(t, 200)
	f := newFixture(t, setting.url)
	h := f.register(t, "anna", hook.url)
	first, second := f.ended(t, "anna", export.Cancelled), f.ended(t, "anna", export.Cancelled)
	f.tell(t, first)
	f.tell(t, second)
	setting.want(t, first.ID+"-cancelled")
	hook.want(t, first.ID+"-cancelled")
	for _, e := range []export.Export{first, second} {
		if open := f.open(t, e); open != nil {
			t.Errorf("still open: %v", open)
		}
	}
	hooks, err := f.Jobs.Webhooks(t.Context(), "anna")
	if err != nil || len(hooks) != 1 || hooks[0].ID != h.ID || time.Since(hooks[0].DisabledAt) > time.Minute {
		t.Errorf("webhooks %+v (%v)", hooks, err)
	}
	f.Receivers.URLs = []string{setting.url, other.url} // another setting
	third := f.ended(t, "anna", export.Cancelled)
	f.tell(t, third)
	setting.want(t, first.ID+"-cancelled", third.ID+"-cancelled")
	other.want(t, third.ID+"-cancelled")
}

// A webhook that is deleted before a later attempt gets none, and one that was
// registered after the first hears nothing of it.
func TestNotifier_changedMeanwhile(t *testing.T) {
	leaves, late := newReceiver(t, 500), newReceiver(t, 200)
	f := newFixture(t)
	h := f.register(t, "anna", leaves.url)
	e := f.ended(t, "anna", export.Cancelled)
	f.tell(t, e)
	if err := f.Jobs.RemoveWebhook(t.Context(), "anna", h.ID); err != nil {
		t.Fatal(err)
	}
	f.register(t, "anna", late.url)
	f.due(t, e)
	f.tell(t, e)
	leaves.want(t, e.ID+"-cancelled")
	late.want(t)
	if open := f.open(t, e); open != nil {
		t.Errorf("still open: %v", open)
	}
}

// Nobody waits for another's answer: each of two receivers answers only when the
// other one was asked as well.
func TestNotifier_together(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		both.Done()
		both.Wait()
	}))
	defer server.Close()
	f := newFixture(t, server.URL+"/1", server.URL+"/2")
	e := f.ended(t, "anna", export.Completed)
	f.tell(t, e)
	if open := f.open(t, e); open != nil {
		t.Errorf("still open: %v", open)
	}
}

// Where nobody is to be told, the notice just goes; an unknown export has none.
func TestNotifier_nobody(t *testing.T) {
	f := newFixture(t)
	e := f.ended(t, "anna", export.Completed)
	f.tell(t, e)
	if _, err := f.Jobs.Notice(t.Context(), e.ID); export.CodeOf(err) != export.NotFound {
		t.Errorf("the notice is still there: %v", err)
	}
	f.tell(t, export.Export{ID: uuid.NewString()})
}

// While the table can't be reached the message isn't acknowledged.
func TestNotifier_noState(t *testing.T) {
	f := newFixture(t)
	f.Jobs = jobs.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "table")
	if err := f.Notify(t.Context(), uuid.NewString()); export.CodeOf(err) != export.Unavailable {
		t.Errorf("error %v", err)
	}
}

// A receiver that is given up is logged and counted, and the notice goes.
func TestNotifier_givesUp(t *testing.T) {
	r := newReceiver(t, 500)
	f := newFixture(t, r.url)
	e := f.ended(t, "anna", export.Completed)
	f.tell(t, e)
	n, err := f.Jobs.Notice(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name := range n.Deliveries {
		n.Deliveries[name] = export.Delivery{Attempts: 9, Next: time.Now()}
	}
	if err := f.Jobs.RecordNotice(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	log := servertest.Log(t)
	f.tell(t, e)
	lines := log()
	servertest.WantMetrics(t, lines, map[string]float64{"DeliveryFailures": 1, "DeliveriesGivenUp": 1})
	if open := f.open(t, e); open != nil || len(r.ids) != 2 {
		t.Errorf("still open: %v, told %d times", open, len(r.ids))
	}
	for _, line := range lines {
		for _, value := range line {
			if text, ok := value.(string); ok && strings.Contains(text, r.url) {
				t.Errorf("a log line has the receiver's URL: %v", line)
			}
		}
	}
}
