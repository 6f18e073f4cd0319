package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/api"
	"csvexport/internal/dataset"
	"csvexport/internal/jobs"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// ask sends a JSON request with an Idempotency-Key for the caller's export id.
func ask(t *testing.T, h http.Handler, c api.Caller, id, body string, keys ...string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r = r.WithContext(api.WithCaller(r.Context(), c))
	r.SetPathValue("id", id)
	r.Header.Set("Content-Type", "application/json")
	r.Header["Idempotency-Key"] = keys
	return serve(t, h, r)
}

var anna = api.Caller{Owner: "anna"}

func TestCreateExport_idempotencyKey(t *testing.T) {
	f := newFixture(t)
	_, first := ask(t, f.create, anna, "", `{"columns":["id"],"filters":{"country_code":["US","DE"]}}`, "k-1")
	for _, again := range []string{`{"columns":["id"],"filters":{"country_code":["US","DE"]}}`, ` {"filters":{"country_code":["DE","US","DE"]},"dataset":"users","columns":["id"]}`} {
		w, answer := ask(t, f.create, anna, "", again, "k-1")
		if w.Code != http.StatusAccepted || answer["exportId"] != first["exportId"] || !strings.Contains(w.Header().Get("Location"), first["exportId"].(string)) {
			t.Errorf("status %d, %v, want that of %v", w.Code, answer, first["exportId"])
		}
	}
	if w, problem := ask(t, f.create, anna, "", `{"columns":["name"],"filters":{"country_code":["US","DE"]}}`, "k-1"); w.Code != http.StatusUnprocessableEntity || problem["code"] != "idempotency_mismatch" {
		t.Errorf("another request: %d, %v", w.Code, problem)
	}
	if w, answer := ask(t, f.create, api.Caller{Owner: "bert"}, "", `{"columns":["id"]}`, "k-1"); w.Code != http.StatusAccepted || answer["exportId"] == first["exportId"] {
		t.Errorf("another owner: %d, %v", w.Code, answer)
	}
	if w, answer := ask(t, f.create, anna, "", `{"columns":["id"],"filters":{"country_code":["US","DE"]}}`); w.Code != http.StatusAccepted || answer["exportId"] == first["exportId"] {
		t.Errorf("without a key: %d, %v", w.Code, answer)
	}
}

func TestCreateExport_wrongIdempotencyKey(t *testing.T) {
	h := &api.CreateExport{Catalog: dataset.Default()} // asks nobody
	for name, keys := range map[string][]string{
		"empty": {""}, "blank": {"a b"}, "not ASCII": {"ä"}, "control character": {"a\x01"}, "256 characters": {strings.Repeat("k", 256)}, "two": {"a", "b"},
	} {
		if w, problem := ask(t, h, anna, "", `{"columns":["nope"]}`, keys...); w.Code != http.StatusBadRequest || fields(problem) != "Idempotency-Key columns" {
			t.Errorf("%s: %d, %v", name, w.Code, problem)
		}
	}
	if w, _ := ask(t, h, anna, "", `{"validateOnly":true}`, strings.Repeat("~", 255)); w.Code != http.StatusOK {
		t.Errorf("255 characters: %d", w.Code)
	}
}

func TestCreateExport_quota(t *testing.T) {
	f := newFixture(t)
	f.create.Quota = jobs.Quota{Active: 5}
	var mu sync.Mutex
	counts := map[int]int{}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			w, answer := ask(t, f.create, anna, "", "{}")
			mu.Lock()
			defer mu.Unlock()
			counts[w.Code]++
			if w.Code == http.StatusTooManyRequests && (answer["code"] != "too_many_exports" || w.Header().Get("Retry-After") != "10") {
				t.Errorf("refusal %v, Retry-After %q", answer, w.Header().Get("Retry-After"))
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(map[int]int{http.StatusAccepted: 5, http.StatusTooManyRequests: 195}, counts); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestRetryExport(t *testing.T) {
	f := newFixture(t)
	retry := (*api.RetryExport)(f.create)
	_, created := ask(t, f.create, anna, "", `{"columns":["id"],"filters":{"lifetime_value_min":0.5,"signup_date_to":"2024-12-31"},"fileName":"x.csv.gz"}`)
	id := created["exportId"].(string)
	want := func(doing string, h http.Handler, c api.Caller, id, body string, status int, code string, keys ...string) map[string]any {
		t.Helper()
		w, answer := ask(t, h, c, id, body, keys...)
		if w.Code != status || code != "" && answer["code"] != code {
			t.Errorf("%s: %d, %v, want %d %s", doing, w.Code, answer, status, code)
		}
		return answer
	}
	want("of a processing export", retry, anna, id, "", http.StatusConflict, "export_not_ready")
	e, err := f.jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.jobs.Cancel(t.Context(), e, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	want("of a stranger's", retry, api.Caller{Owner: "bert"}, id, "", http.StatusNotFound, "not_found")
	want("of an unknown one", retry, anna, uuid.NewString(), "", http.StatusNotFound, "not_found")
	want("with a body", retry, anna, id, `{"columns":["id"]}`, http.StatusBadRequest, "invalid_request")
	again := want("", retry, anna, id, "{}", http.StatusAccepted, "", "k")
	renewed, err := f.jobs.Get(t.Context(), again["exportId"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.Spec, renewed.Spec); renewed.ID == e.ID || diff != "" {
		t.Errorf("retry made %s of %s; spec (-old +new):\n%s", renewed.ID, e.ID, diff)
	}
	if same := want("with the same key", retry, anna, id, "", http.StatusAccepted, "", "k"); same["exportId"] != renewed.ID {
		t.Errorf("one key made %v and %s", same["exportId"], renewed.ID)
	}
	want("create with the retry's key", f.create, anna, "", `{"columns":["id"],"filters":{"lifetime_value_min":0.5,"signup_date_to":"2024-12-31"},"fileName":"x.csv.gz"}`,
		http.StatusUnprocessableEntity, "idempotency_mismatch", "k")

	completed := f.completed(t, servertest.Bucket(t))
	want("of a completed export", retry, anna, completed.ID, "", http.StatusConflict, "export_not_retryable")
	other := *f.create
	other.Catalog = dataset.New(dataset.Dataset{Name: "users", Columns: []dataset.Column{{Name: "id"}}, Requires: "exports"})
	want("without the right any more", (*api.RetryExport)(&other), anna, id, "", http.StatusForbidden, "forbidden")
	scoped := anna
	scoped.Access.Scopes = []string{"exports"}
	want("of a dataset without the filters any more", (*api.RetryExport)(&other), scoped, id, "", http.StatusBadRequest, "invalid_request")
}

// The place in the queue is told while the export waits.
func TestGetExport_queuePosition(t *testing.T) {
	f := newFixture(t)
	var ids []string
	for _, owner := range []string{"anna", "bert", "anna"} {
		_, created := ask(t, f.create, api.Caller{Owner: owner}, "", "")
		if created["queuePosition"] != nil {
			t.Errorf("a create says queuePosition %v", created["queuePosition"])
		}
		ids = append(ids, created["exportId"].(string))
		time.Sleep(2 * time.Millisecond) // places are told apart by milliseconds
	}
	position := func(id string) any {
		_, answer := do(t, f.get, "anna", http.MethodGet, id, "", "")
		return answer["queuePosition"]
	}
	if got := position(ids[2]); got != 3.0 {
		t.Errorf("the third is at %v", got)
	}
	e, err := f.jobs.Get(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.jobs.Claim(t.Context(), e, "worker", time.Now()); err != nil {
		t.Fatal(err)
	}
	if first, third := position(ids[0]), position(ids[2]); first != nil || third != 2.0 {
		t.Errorf("with the first at work they are at %v and %v, want null and 2", first, third)
	}
}

func TestEstimateExport(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 3000)
	database, err := source.New(url)
	if err != nil {
		t.Fatal(err)
	}
	h := &api.EstimateExport{Catalog: dataset.Default(), Estimate: database.Estimate}
	for body, between := range map[string][2]float64{
		"":                                      {2900, 3100},
		`{"filters":{"country_code":"DE"}}`:     {800, 1200},
		`{"filters":{"country_code":"ZZ"}}`:     {0, 100},
		`{"filters":{"lifetime_value_min":15}}`: {1000, 1600},
	} {
		w, answer := ask(t, h, anna, "", body)
		n, _ := answer["estimatedRows"].(float64)
		if w.Code != http.StatusOK || answer["exact"] != false || n < between[0] || n > between[1] {
			t.Errorf("%s: %d, %v, want from %v to %v rows", body, w.Code, answer, between[0], between[1])
		}
	}
	if w, problem := ask(t, h, anna, "", `{"columns":["nope"]}`); w.Code != http.StatusBadRequest {
		t.Errorf("a wrong request: %d, %v", w.Code, problem)
	}
	if w, answer := ask(t, h, anna, "", `{"validateOnly":true}`); w.Code != http.StatusOK || answer["valid"] != true {
		t.Errorf("validateOnly: %d, %v", w.Code, answer)
	}

	servertest.Lock(t, url, "users")
	began := time.Now()
	w, problem := ask(t, h, anna, "", "")
	if took := time.Since(began); w.Code != http.StatusServiceUnavailable || problem["code"] != "unavailable" || took > 4*time.Second || took < time.Second {
		t.Errorf("of a locked table: %d, %v after %v", w.Code, problem, took)
	}
}

// What the planner expects with a caller's filter would tell of others' rows:
// it isn't asked.
func TestEstimateExport_ownRows(t *testing.T) {
	catalog := dataset.New(dataset.Dataset{
		Name: "users", Columns: []dataset.Column{{Name: "id"}}, Rows: dataset.RowScope{Column: "tenant", Claim: "tenant"},
		Filters: []dataset.Filter{{Name: "mail", Column: "mail", Operator: dataset.Equals, Type: dataset.Text}},
	})
	var asked []dataset.Predicate
	h := &api.EstimateExport{Catalog: catalog, Estimate: func(_ context.Context, sel dataset.Selection) (int64, error) {
		asked = sel.Predicates
		return 7, nil
	}}
	c := api.Caller{Owner: "anna", Access: dataset.Access{Claims: map[string][]string{"tenant": {"acme"}}}}
	w, answer := ask(t, h, c, "", `{"filters":{"mail":"boss@others.example"}}`)
	if w.Code != http.StatusOK || answer["estimatedRows"] != 7.0 {
		t.Fatalf("%d, %v", w.Code, answer)
	}
	if len(asked) != 1 || asked[0].Column != "tenant" {
		t.Errorf("the planner is asked about %+v", asked)
	}
	if w, problem := ask(t, h, c, "", `{"filters":{"nope":1}}`); w.Code != http.StatusBadRequest {
		t.Errorf("a wrong filter: %d, %v", w.Code, problem)
	}
}

func TestDatasets(t *testing.T) {
	catalog := dataset.New(
		dataset.Dataset{
			Name: "users", Description: "Customers.", Key: []string{"no", "hidden"},
			Columns: []dataset.Column{{Name: "id", Column: "no", Type: "integer"}, {Name: "mail", Column: "email", Requires: "pii"}},
			Filters: []dataset.Filter{
				{Name: "id", Column: "no", Operator: dataset.In, Type: dataset.Integer},
				{Name: "day_from", Column: "day", Operator: dataset.AtLeast, Type: dataset.Date},
				{Name: "pay_max", Column: "pay", Operator: dataset.AtMost, Type: dataset.Decimal},
			},
			Limits: dataset.Limits{Rows: 10, Age: 90 * time.Second},
		},
		dataset.Dataset{Name: "salaries", Columns: []dataset.Column{{Name: "id"}}, Requires: "hr"},
	)
	_, list := do(t, &api.ListDatasets{Catalog: catalog}, "anna", http.MethodGet, "", "", "")
	one := map[string]any{
		"name": "users", "description": "Customers.", "key": []any{"id", "hidden"}, "columns": []any{map[string]any{"name": "id", "type": "integer"}},
		"filters": []any{
			map[string]any{"name": "id", "column": "id", "operator": "in", "type": "integer", "list": true, "maxLength": nil, "pattern": nil, "hint": nil},
			map[string]any{"name": "day_from", "column": "day", "operator": "from", "type": "date", "list": false, "maxLength": nil, "pattern": nil, "hint": nil},
			map[string]any{"name": "pay_max", "column": "pay", "operator": "max", "type": "decimal", "list": false, "maxLength": nil, "pattern": nil, "hint": nil},
		},
		"limits": map[string]any{"rows": 10.0, "bytes": nil, "ageSeconds": 90.0},
	}
	if diff := cmp.Diff(map[string]any{"datasets": []any{one}, "destinations": []any{}}, list); diff != "" {
		t.Errorf("datasets (-want +got):\n%s", diff)
	}
	for name, status := range map[string]int{"users": 200, "salaries": 403, "nope": 404} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r = r.WithContext(api.WithCaller(r.Context(), anna))
		r.SetPathValue("name", name)
		w, answer := serve(t, &api.GetDataset{Catalog: catalog}, r)
		if w.Code != status {
			t.Errorf("%s: %d, %v", name, w.Code, answer)
		}
		if diff := cmp.Diff(one, answer); status == 200 && diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, all := do(t, &api.ListDatasets{Catalog: dataset.Default()}, "anna", http.MethodGet, "", "", ""); len(all["datasets"].([]any)) != 1 {
		t.Errorf("the default catalog: %v", all)
	}
}
