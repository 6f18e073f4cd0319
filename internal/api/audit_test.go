package api_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/api"
	"csvexport/internal/bucket"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// captureAudit returns the audit lines that are logged from now on, as
// ACTION OUTCOME DATASET OWNER SUBJECT EXPORT REQUEST ADDRESS.
func captureAudit(t *testing.T) func() []string {
	t.Helper()
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return func() []string {
		var lines []string
		for line := range strings.Lines(log.String()) {
			var entry struct{ Msg, Action, Outcome, Dataset, Owner, Subject, ExportID, RequestID, SourceIP string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			if entry.Msg == "audit" {
				lines = append(lines, strings.Join([]string{
					entry.Action, entry.Outcome, entry.Dataset, entry.Owner, entry.Subject, entry.ExportID, entry.RequestID, entry.SourceIP,
				}, " "))
			}
		}
		log.Reset()
		return lines
	}
}

// One line tells of each create, download and delete, refused ones among them.
func TestAudit(t *testing.T) {
	f, name := newFixture(t), servertest.Bucket(t)
	f.download.Buckets = bucket.NewBuckets(servertest.AWS(t), name, "")
	remove := &api.DeleteExport{Jobs: f.jobs, Buckets: f.download.Buckets, Notices: queue.New(servertest.AWS(t), servertest.Queue(t)), FileTTL: time.Hour}
	lines := captureAudit(t)
	as := func(owner string, h http.Handler, method, id, body string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.SetPathValue("id", id)
		c := api.Caller{Owner: owner, Subject: "s", RequestID: "r", SourceIP: "192.0.2.1"}
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(api.WithCaller(r.Context(), c)))
	}
	done := f.completed(t, name)
	lines() // the fixture's
	unknown := uuid.NewString()
	for _, test := range []struct {
		owner  string
		h      http.Handler
		method string
		id     string
		body   string
		want   []string
	}{
		{"anna", f.create, "POST", "", `{"columns":["nope"]}`, []string{"create invalid_request  anna s  r 192.0.2.1"}},
		{"anna", f.create, "POST", "", `{"validateOnly":true}`, nil},
		{"anna", f.get, "GET", done.ID, "", nil},
		{"anna", f.download, "GET", done.ID, "", []string{"download ok users anna s " + done.ID + " r 192.0.2.1"}},
		{"anna", f.download, "HEAD", done.ID, "", nil},
		{"bert", f.download, "GET", done.ID, "", []string{"download not_found  bert s " + done.ID + " r 192.0.2.1"}},
		{"bert", f.download, "HEAD", done.ID, "", []string{"download not_found  bert s " + done.ID + " r 192.0.2.1"}},
		{"bert", remove, "DELETE", done.ID, "", []string{"delete not_found  bert s " + done.ID + " r 192.0.2.1"}},
		{"anna", remove, "DELETE", unknown, "", []string{"delete not_found  anna s " + unknown + " r 192.0.2.1"}},
		{"anna", remove, "DELETE", done.ID, "", []string{"delete ok users anna s " + done.ID + " r 192.0.2.1"}},
		{"anna", (*api.RetryExport)(f.create), "POST", done.ID, "", []string{"retry export_not_retryable users anna s " + done.ID + " r 192.0.2.1"}},
		{"bert", (*api.RetryExport)(f.create), "POST", done.ID, "", []string{"retry not_found  bert s " + done.ID + " r 192.0.2.1"}},
		{"anna", f.download, "GET", done.ID, "", []string{"download gone users anna s " + done.ID + " r 192.0.2.1"}},
	} {
		as(test.owner, test.h, test.method, test.id, test.body)
		if diff := cmp.Diff(test.want, lines()); diff != "" {
			t.Errorf("%s by %s: audit (-want +got):\n%s", test.method, test.owner, diff)
		}
	}
	as("anna", f.create, "POST", "", "")
	as("anna", f.create, "POST", "", "{}")
	if got := lines(); len(got) != 2 || !strings.HasPrefix(got[1], "create ok users anna s ") || !strings.HasSuffix(got[1], " r 192.0.2.1") {
		t.Errorf("creates: audit %q", got)
	}
}

// Without an owner nothing is served, and no server asked.
func TestNobody(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"create": &api.CreateExport{}, "status": &api.GetExport{}, "download": &api.DownloadExport{}, "delete": &api.DeleteExport{}, "list": &api.ListExports{},
		"retry": &api.RetryExport{}, "estimate": &api.EstimateExport{}, "datasets": &api.ListDatasets{}, "dataset": &api.GetDataset{},
		"create webhook": &api.CreateWebhook{}, "webhooks": &api.ListWebhooks{}, "delete webhook": &api.DeleteWebhook{},
	} {
		w, problem := do(t, h, "", http.MethodGet, uuid.NewString(), "", "")
		if w.Code != http.StatusUnauthorized || problem["code"] != "unauthenticated" || w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: status %d, %v", name, w.Code, problem)
		}
	}
}
