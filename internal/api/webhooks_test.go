package api_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/api"
	"csvexport/internal/export"
	"csvexport/internal/webhook"
)

type webhooks struct {
	fixture
	create *api.CreateWebhook
	list   *api.ListWebhooks
	remove *api.DeleteWebhook
}

func newWebhooks(t *testing.T) webhooks {
	f := newFixture(t)
	return webhooks{
		f, &api.CreateWebhook{Jobs: f.jobs, Addresses: webhook.Public}, &api.ListWebhooks{Jobs: f.jobs}, &api.DeleteWebhook{Jobs: f.jobs},
	}
}

func (f webhooks) register(t *testing.T, owner, body string) map[string]any {
	t.Helper()
	w, answer := do(t, f.create, owner, http.MethodPost, "", "application/json", body)
	if w.Code != http.StatusCreated {
		t.Fatalf("status %d, %v", w.Code, answer)
	}
	return answer
}

func (f webhooks) all(t *testing.T, owner string) []any {
	t.Helper()
	w, answer := do(t, f.list, owner, http.MethodGet, "", "", "")
	if w.Code != http.StatusOK || len(answer) != 1 {
		t.Fatalf("status %d, %v", w.Code, answer)
	}
	return answer["webhooks"].([]any)
}

// The secret is shown once; a webhook is its owner's alone.
func TestWebhooks(t *testing.T) {
	f := newWebhooks(t)
	if got := f.all(t, "anna"); len(got) != 0 {
		t.Errorf("webhooks %v", got)
	}
	first := f.register(t, "anna", `{"url":"https://hooks.example.com/x","description":"Nightly"}`)
	second := f.register(t, "anna", `{"url":"https://hooks.example.com/x"}`)
	secret, _ := first["secret"].(string)
	if _, err := webhook.ParseSecrets(secret); err != nil || second["secret"] == secret {
		t.Errorf("secrets %v and %v (%v)", secret, second["secret"], err)
	}
	id := first["id"].(string)
	want := map[string]any{
		"id": id, "url": "https://hooks.example.com/x", "description": "Nightly", "enabled": true, "disabledReason": nil, "disabledAt": nil,
		"lastFailure": nil, "createdAt": first["createdAt"],
	}
	delete(second, "secret")
	if diff := cmp.Diff([]any{want, second}, f.all(t, "anna")); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if got := f.all(t, "bert"); len(got) != 0 {
		t.Errorf("another owner sees %v", got)
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	if err := f.jobs.UpdateWebhooks(t.Context(), "anna", func(h *export.Webhook) {
		if h.ID == id {
			h.DisabledAt, h.LastFailure = at, &export.DeliveryFailure{At: at, Message: "The receiver answered 410."}
		}
	}); err != nil {
		t.Fatal(err)
	}
	want["enabled"], want["disabledReason"], want["disabledAt"] = false, "gone", at.Format(time.RFC3339Nano)
	want["lastFailure"] = map[string]any{"at": at.Format(time.RFC3339Nano), "message": "The receiver answered 410."}
	if diff := cmp.Diff([]any{want, second}, f.all(t, "anna")); diff != "" {
		t.Errorf("a disabled one (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		owner, id string
		left      int
	}{{"bert", id, 2}, {"anna", uuid.NewString(), 2}, {"anna", id, 1}, {"anna", id, 1}} {
		if w, answer := do(t, f.remove, test.owner, http.MethodDelete, test.id, "", ""); w.Code != http.StatusNoContent || answer != nil {
			t.Errorf("delete: status %d, %v", w.Code, answer)
		}
		if got := f.all(t, "anna"); len(got) != test.left {
			t.Errorf("after %s's delete of %s %d webhooks, want %d", test.owner, test.id, len(got), test.left)
		}
	}
	if w, _ := do(t, f.remove, "anna", http.MethodDelete, "42", "", ""); w.Code != http.StatusBadRequest {
		t.Errorf("delete of 42: status %d", w.Code)
	}
}

func TestWebhooks_refused(t *testing.T) {
	f := newWebhooks(t)
	for body, fields := range map[string][]string{
		``:                                     {"url"},
		`{}`:                                   {"url"},
		`{"url":null}`:                         {"url"},
		`{"url":7}`:                            {"url"},
		`{"url":""}`:                           {"url"},
		`{"url":"http://hooks.example.com"}`:   {"url"},
		`{"url":"https://169.254.169.254/"}`:   {"url"},
		`{"url":"https://[::ffff:10.0.0.1]/"}`: {"url"},
		`{"url":"https://u:p@example.com/"}`:   {"url"},
		`{"url":"https://a.example","url":"https://b.example"}`:                           {"url"},
		`{"url":"https://a.example","description":null}`:                                  {"description"},
		`{"url":"https://a.example","secret":"whsec_x"}`:                                  {"secret"},
		`{"url":"x","description":"` + strings.Repeat("ä", 201) + `","events":[],"b":{}}`: {"url", "description", "events", "b"},
	} {
		w, answer := do(t, f.create, "anna", http.MethodPost, "", "application/json", body)
		var got []string
		problems, _ := answer["errors"].([]any)
		for _, p := range problems {
			got = append(got, p.(map[string]any)["field"].(string))
		}
		if diff := cmp.Diff(fields, got); w.Code != http.StatusBadRequest || diff != "" {
			t.Errorf("%s: status %d, fields (-want +got):\n%s", body, w.Code, diff)
		}
	}
	for i := range export.MaxWebhooks {
		f.register(t, "anna", `{"url":"https://hooks.example.com/`+strconv.Itoa(i)+`","description":"`+strings.Repeat("ä", 200)+`"}`)
	}
	w, answer := do(t, f.create, "anna", http.MethodPost, "", "application/json", `{"url":"https://hooks.example.com"}`)
	if w.Code != http.StatusForbidden || answer["code"] != "forbidden" || !strings.Contains(fmt.Sprint(answer["detail"]), "10 webhooks") {
		t.Errorf("one too many: status %d, %v", w.Code, answer)
	}
	f.register(t, "bert", `{"url":"https://hooks.example.com"}`)
}

// One line tells of each that is made and deleted, without its URL and secret.
func TestWebhooks_audit(t *testing.T) {
	f := newWebhooks(t)
	lines := captureAudit(t)
	made := f.register(t, "anna", `{"url":"https://hooks.example.com/hunter2"}`)
	do(t, f.create, "anna", http.MethodPost, "", "application/json", `{}`)
	do(t, f.remove, "anna", http.MethodDelete, made["id"].(string), "", "")
	do(t, f.list, "anna", http.MethodGet, "", "", "")
	want := []string{"create webhook ok  anna   r-1 ", "create webhook invalid_request  anna   r-1 ", "delete webhook ok  anna   r-1 "}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}
