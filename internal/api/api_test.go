package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/api"
	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

type fixture struct {
	jobs     *jobs.Store
	create   *api.CreateExport
	get      *api.GetExport
	download *api.DownloadExport
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	cfg := servertest.AWS(t)
	store := jobs.New(cfg, servertest.Table(t))
	return fixture{
		jobs:     store,
		create:   &api.CreateExport{Jobs: store, Queue: queue.New(cfg, servertest.Queue(t)), Catalog: dataset.Default()},
		get:      &api.GetExport{Jobs: store},
		download: &api.DownloadExport{Jobs: store, Buckets: bucket.NewBuckets(cfg, "files", ""), PresignTTL: time.Minute},
	}
}

// do sends a request as the given owner under the stage /v1.
func do(t *testing.T, h http.Handler, owner, method, id, contentType, body string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	r = r.WithContext(api.WithCaller(r.Context(), api.Caller{Owner: owner, BasePath: "/v1", RequestID: "r-1"}))
	r.SetPathValue("id", id)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return serve(t, h, r)
}

func serve(t *testing.T, h http.Handler, r *http.Request) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var answer map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	return w, answer
}

func TestCreateExport(t *testing.T) {
	f := newFixture(t)
	for name, body := range map[string]string{"no body": "", "empty object": " {} ", "dataset": `{"dataset":"users"}`} {
		t.Run(name, func(t *testing.T) {
			w, answer := do(t, f.create, "anna", http.MethodPost, "", "application/json; charset=utf-8", body)
			id, _ := answer["exportId"].(string)
			if w.Code != http.StatusAccepted || answer["status"] != "processing" || answer["phase"] != "queued" || answer["done"] != false {
				t.Errorf("status %d, answer %v", w.Code, answer)
			}
			if u, err := uuid.Parse(id); err != nil || u.Version() != 7 {
				t.Errorf("exportId %q isn't a UUIDv7", id)
			}
			if got, want := w.Header().Get("Location"), "/v1/exports/"+id+"/status"; got != want {
				t.Errorf("Location %q, want %q", got, want)
			}
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if _, answer := do(t, f.get, "anna", http.MethodGet, id, "", ""); answer["exportId"] != id {
				t.Errorf("status answers %v", answer)
			}
		})
	}
}

func TestCreateExport_spec(t *testing.T) {
	f := newFixture(t)
	body := `{"filters":{"country_code":["US","DE"],"lifetime_value_min":0.10,"lifetime_value_max":"1e2"},"columns":["id"]}`
	if w, problem := do(t, f.create, "anna", http.MethodPost, "", "application/json", body); w.Code != http.StatusBadRequest {
		t.Errorf("status %d, %v", w.Code, problem)
	}
	body = strings.Replace(body, "1e2", "12345678901234567890.12", 1)
	w, answer := do(t, f.create, "anna", http.MethodPost, "", "application/json", body)
	if w.Code != http.StatusAccepted {
		t.Fatalf("status %d, %v", w.Code, answer)
	}
	e, err := f.jobs.Get(t.Context(), answer["exportId"].(string))
	if err != nil {
		t.Fatal(err)
	}
	want := export.Spec{Dataset: "users", Columns: []string{"id"}, Filters: map[string][]string{
		"country_code": {"DE", "US"}, "lifetime_value_min": {"0.1"}, "lifetime_value_max": {"12345678901234567890.12"},
	}}
	if diff := cmp.Diff(want, e.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

// validateOnly asks nobody: it works without any server.
func TestCreateExport_validateOnly(t *testing.T) {
	h := &api.CreateExport{Catalog: dataset.Default()}
	for _, tier := range []string{"US", `\ud83d\ude00`, `\\ud83d`, `\u00e9\n`, "😀"} {
		w, answer := do(t, h, "anna", http.MethodPost, "", "application/json", `{"validateOnly":true,"filters":{"subscription_tier":"`+tier+`"}}`)
		if w.Code != http.StatusOK || answer["valid"] != true {
			t.Errorf("%s: status %d, %v", tier, w.Code, answer)
		}
	}
}

// The answer stands when the queue can't be reached: the sweeper sends it.
func TestCreateExport_sendFails(t *testing.T) {
	f := newFixture(t)
	f.create.Queue = queue.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "http://127.0.0.1:1/q")
	w, answer := do(t, f.create, "anna", http.MethodPost, "", "", "")
	if w.Code != http.StatusAccepted {
		t.Fatalf("status %d, answer %v", w.Code, answer)
	}
	e, err := f.jobs.Get(t.Context(), answer["exportId"].(string))
	if err != nil || e.DueAt.IsZero() {
		t.Errorf("export %+v (%v): the sweeper would never look at it", e, err)
	}
}

func TestCreateExport_refuses(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		name, contentType, body string
		status                  int
		code                    string
		fields                  string // in order
	}{
		{"unknown fields, all named", "application/json", `{"limit":{},"x":1,"dataset":7}`, 400, "invalid_request", "limit x dataset"},
		{"wrong types", "application/json", `{"columns":"id","filters":[],"validateOnly":1}`, 400, "invalid_request", "columns filters validateOnly"},
		{"nulls", "application/json", `{"columns":["id",null],"filters":{"country_code":null},"validateOnly":null}`, 400, "invalid_request", "columns filters.country_code validateOnly"},
		{"empty lists", "application/json", `{"columns":[],"filters":{"country_code":[]}}`, 400, "invalid_request", "columns filters.country_code"},
		{"filters", "application/json", `{"filters":{"country_code":{"a":1},"nope":1,"signup_date_from":true,"lifetime_value_min":[[1]]}}`, 400, "invalid_request", "filters.country_code filters.lifetime_value_min filters.nope filters.signup_date_from"},
		{"duplicate filter", "application/json", `{"filters":{"country_code":"US","country_code":"DE"}}`, 400, "invalid_request", "filters.country_code"},
		{"form and values at once", "application/json", `{"x":1,"filters":{"country_code":"usa"},"columns":["nope"]}`, 400, "invalid_request", "x filters.country_code columns"},
		{"nothing is valid only", "application/json", `{"validateOnly":true,"columns":["nope"]}`, 400, "invalid_request", "columns"},
		{"duplicate key", "application/json", `{"dataset":"users","dataset":"users"}`, 400, "invalid_request", "dataset"},
		{"null", "application/json", `{"dataset":null}`, 400, "invalid_request", "dataset"},
		{"unknown dataset", "application/json", `{"dataset":"nobody's"}`, 400, "invalid_request", "dataset"},
		{"not UTF-8", "application/json", "{\"filters\":{\"subscription_tier\":\"\xff\"}}", 400, "invalid_request", ""},
		{"half a character", "application/json", `{"filters":{"subscription_tier":"\ud83d"}}`, 400, "invalid_request", ""},
		{"its other half", "application/json", `{"filters":{"subscription_tier":"\\\ude00"}}`, 400, "invalid_request", ""},
		{"halves apart", "application/json", `{"filters":{"subscription_tier":"\ud83d \ude00"}}`, 400, "invalid_request", ""},
		{"halves the wrong way round", "application/json", `{"filters":{"subscription_tier":"\ude00\ud83d"}}`, 400, "invalid_request", ""},
		{"half a list of columns", "application/json", `{"columns":["id",1]}`, 400, "invalid_request", "columns"},
		{"broken", "application/json", `{"dataset":`, 400, "invalid_request", ""},
		{"not closed", "application/json", `{"dataset":"users"`, 400, "invalid_request", ""},
		{"not an object", "application/json", `[]`, 400, "invalid_request", ""},
		{"more than one value", "application/json", `{} {}`, 400, "invalid_request", ""},
		{"large", "application/json", `{"dataset":"` + strings.Repeat("x", 17<<10) + `"}`, 413, "payload_too_large", ""},
		{"another type", "text/csv", `{}`, 415, "unsupported_media_type", ""},
		{"no type", "", `{}`, 415, "unsupported_media_type", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, problem := do(t, f.create, "anna", http.MethodPost, "", test.contentType, test.body)
			if w.Code != test.status || problem["code"] != test.code || problem["requestId"] != "r-1" {
				t.Errorf("status %d, problem %v", w.Code, problem)
			}
			if got := fields(problem); got != test.fields {
				t.Errorf("fields %q, want %q", got, test.fields)
			}
		})
	}
}

// fields are the fields that a problem document names.
func fields(problem map[string]any) string {
	var names []string
	list, _ := problem["errors"].([]any)
	for _, e := range list {
		names = append(names, e.(map[string]any)["field"].(string))
	}
	return strings.TrimSpace(strings.Join(names, " "))
}

// Nobody can tell a stranger's export from one that doesn't exist.
func TestOwnersAreSeparate(t *testing.T) {
	f := newFixture(t)
	_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
	for name, h := range map[string]http.Handler{"status": f.get, "download": f.download} {
		theirs, theirProblem := do(t, h, "bert", http.MethodGet, created["exportId"].(string), "", "")
		unknown, unknownProblem := do(t, h, "bert", http.MethodGet, uuid.NewString(), "", "")
		if theirs.Code != http.StatusNotFound || unknown.Code != http.StatusNotFound {
			t.Errorf("%s: %d and %d, want 404 for both", name, theirs.Code, unknown.Code)
		}
		if theirProblem["detail"] != unknownProblem["detail"] || theirProblem["code"] != "not_found" {
			t.Errorf("%s: %v differs from %v", name, theirProblem, unknownProblem)
		}
	}
}

func TestGetExport_refusesIDs(t *testing.T) {
	f := newFixture(t)
	for _, id := range []string{"", "x", strings.ToUpper(uuid.NewString()), "{" + uuid.NewString() + "}", uuid.NewString() + "'--"} {
		if w, problem := do(t, f.get, "anna", http.MethodGet, id, "", ""); w.Code != http.StatusBadRequest {
			t.Errorf("id %q: status %d, %v", id, w.Code, problem)
		}
	}
}

func TestDownloadExport(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	result := export.Result{Rows: 3, Bytes: 99, UncompressedBytes: 120, CRC32: 0x01020304, Key: "exports/anna/x/1.csv.gz"}
	for _, test := range []struct {
		name    string
		prepare func(e export.Export) error // e is claimed
		status  int
		code    string
	}{
		{"running", func(export.Export) error { return nil }, 409, "export_not_ready"},
		{"failed", func(e export.Export) error {
			return f.jobs.Fail(t.Context(), e, export.Failure{Code: export.SourceRejected, Message: "No table."}, now, time.Hour)
		}, 409, "export_failed"},
		{"completed", func(e export.Export) error { return complete(t, f, e, result, now.Add(time.Hour)) }, 302, ""},
		{"past its time", func(e export.Export) error { return complete(t, f, e, result, now.Add(-time.Second)) }, 410, "gone"},
		{"expired", func(e export.Export) error {
			if err := complete(t, f, e, result, now); err != nil {
				return err
			}
			return f.jobs.Expire(t.Context(), e)
		}, 410, "gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
			id := created["exportId"].(string)
			e, err := f.jobs.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if e, err = f.jobs.Claim(t.Context(), e, "worker", now); err != nil {
				t.Fatal(err)
			}
			if err := test.prepare(e); err != nil {
				t.Fatal(err)
			}
			w, problem := do(t, f.download, "anna", http.MethodGet, id, "", "")
			if w.Code != test.status || test.code != "" && problem["code"] != test.code {
				t.Errorf("status %d, %v; want %d %s", w.Code, problem, test.status, test.code)
			}
			if retry := w.Header().Get("Retry-After"); (retry != "") != (test.code == "export_not_ready") {
				t.Errorf("Retry-After %q", retry)
			}
			if at := w.Header().Get("Location"); test.status == 302 && !strings.Contains(at, "/files/exports/anna/x/1.csv.gz?") {
				t.Errorf("Location %s", at)
			}
		})
	}
}

func complete(t *testing.T, f fixture, e export.Export, r export.Result, expires time.Time) error {
	t.Helper()
	if err := f.jobs.Finalize(t.Context(), e, r); err != nil {
		return err
	}
	return f.jobs.Complete(t.Context(), e, time.Now(), expires)
}

func TestServerErrorsTellNothing(t *testing.T) {
	store := jobs.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "table")
	w, problem := do(t, &api.GetExport{Jobs: store}, "anna", http.MethodGet, uuid.NewString(), "", "")
	if w.Code != http.StatusServiceUnavailable || problem["code"] != "unavailable" || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, %v", w.Code, problem)
	}
	if strings.Contains(w.Body.String(), "127.0.0.1") {
		t.Errorf("the answer tells about the inside: %s", w.Body)
	}
}

// What the caller's token gives no right to is a 403; the rest is in the spec.
func TestCreateExport_access(t *testing.T) {
	f := newFixture(t)
	catalog, err := dataset.Parse("rights.yaml", []byte(`
datasets:
  - name: mine
    relation: a.b
    columns: [id, {name: mail, requires: pii}]
    rows: {column: tenant, claim: org}
    filters: [{column: paid, type: boolean, by: [equals]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	f.create.Catalog = catalog
	for _, test := range []struct {
		name   string
		access dataset.Access
		body   string
		status int
		want   export.Spec
	}{
		{"nobody's rights", dataset.Access{}, `{}`, 403, export.Spec{}},
		{"a column of others", dataset.Access{Claims: map[string][]string{"org": {"x"}}}, `{"columns":["mail"]}`, 403, export.Spec{}},
		{"rows in the body", dataset.Access{}, `{"rows":["x"]}`, 403, export.Spec{}},
		{
			"some columns",
			dataset.Access{Claims: map[string][]string{"org": {"x"}}},
			`{"filters":{"paid":false}}`, 202,
			export.Spec{Dataset: "mine", Columns: []string{"id"}, Rows: []string{"x"}, Filters: map[string][]string{"paid": {"false"}}},
		},
		{
			"all columns",
			dataset.Access{Scopes: []string{"pii"}, Claims: map[string][]string{"org": {"x"}}},
			`{}`, 202,
			export.Spec{Dataset: "mine", Rows: []string{"x"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			f.create.ServeHTTP(w, r.WithContext(api.WithCaller(t.Context(), api.Caller{Owner: "anna", Access: test.access})))
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != test.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if test.status == http.StatusForbidden {
				if answer["code"] != "forbidden" {
					t.Errorf("%s", w.Body)
				}
				return
			}
			e, err := f.jobs.Get(t.Context(), answer["exportId"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, e.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}
