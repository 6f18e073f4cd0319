package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"csvexport/internal/api"
	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// delivering has f's create know a destination in the bucket, which needs the
// scope deliver.
func (f fixture) delivering(t *testing.T, to string) {
	t.Helper()
	c, err := dataset.Parse("f.yaml", fmt.Appendf(nil, `datasets: [{name: users, relation: public.users, columns: [id]}]
destinations:
  - {name: archive, bucket: our-archive}
  - {name: finance, description: Reports., bucket: %s, prefix: csv/, role: %q, externalId: %s, requires: deliver}
`, to, servertest.Role, servertest.ExternalID))
	if err != nil {
		t.Fatal(err)
	}
	f.create.Catalog = c
}

var (
	deliverer = api.Caller{Owner: "anna", Access: dataset.Access{Scopes: []string{"deliver"}}}
	scopeless = api.Caller{Owner: "anna"}
)

func as(t *testing.T, c api.Caller, h http.Handler, method, id, body string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	r = r.WithContext(api.WithCaller(r.Context(), c))
	r.SetPathValue("id", id)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	return serve(t, h, r)
}

func TestListDatasets_destinations(t *testing.T) {
	f := newFixture(t)
	f.delivering(t, "acme")
	all := []any{map[string]any{"name": "archive", "description": nil}, map[string]any{"name": "finance", "description": "Reports."}}
	for _, test := range []struct {
		who  api.Caller
		want []any
	}{{deliverer, all}, {scopeless, all[:1]}} {
		_, list := as(t, test.who, &api.ListDatasets{Catalog: f.create.Catalog}, http.MethodGet, "", "")
		if diff := cmp.Diff(test.want, list["destinations"]); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.who.Access, diff)
		}
	}
}

func TestCreateExport_destinationRefused(t *testing.T) {
	f := newFixture(t)
	f.delivering(t, "acme")
	for _, test := range []struct {
		who    api.Caller
		body   string
		status int
		fields string
	}{
		{scopeless, `{"destination":{"name":"finance"}}`, 403, ""},
		{deliverer, `{"destination":{"name":"nope"}}`, 400, "destination.name"},
		{deliverer, `{"destination":{"name":"finance","prefix":"../x"}}`, 400, "destination.prefix"},
		{deliverer, `{"destination":{"prefix":"a"}}`, 400, "destination.name"},
		{deliverer, `{"destination":{}}`, 400, "destination.name"},
		{deliverer, `{"destination":null}`, 400, "destination"},
		{deliverer, `{"destination":"finance"}`, 400, "destination"},
		{deliverer, `{"destination":{"name":"finance","prefix":null,"bucket":"x"}}`, 400, "destination.prefix destination.bucket"},
		{deliverer, `{"destination":{"name":"finance","name":"archive"}}`, 400, "destination.name"},
		{deliverer, `{"destination":{"name":7}}`, 400, "destination.name"},
	} {
		w, answer := as(t, test.who, f.create, http.MethodPost, "", test.body)
		var fields []string
		problems, _ := answer["errors"].([]any)
		for _, p := range problems {
			fields = append(fields, p.(map[string]any)["field"].(string))
		}
		if w.Code != test.status || strings.Join(fields, " ") != test.fields {
			t.Errorf("%s: %d %v, want %d %s", test.body, w.Code, answer, test.status, test.fields)
		}
	}
	if list, _, err := f.jobs.List(t.Context(), jobs.List{Owner: "anna", Size: 10}, time.Now()); err != nil || len(list) > 0 {
		t.Errorf("exports %v (%v), want none", list, err)
	}
}

// An export for a destination, as its owner sees it from the request to the
// file's end.
func TestDestination(t *testing.T) {
	f, to := newFixture(t), servertest.Bucket(t)
	f.delivering(t, to)
	f.download.Buckets = bucket.NewBuckets(servertest.AWS(t), "own", "")
	f.download.PresignTTL = 3 * time.Hour
	w, created := as(t, deliverer, f.create, http.MethodPost, "", `{"destination":{"name":"finance","prefix":"2026/11"}}`)
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %v", w.Code, created)
	}
	echo := map[string]any{"name": "finance", "prefix": "2026/11/"}
	if diff := cmp.Diff(echo, created["request"].(map[string]any)["destination"]); diff != "" {
		t.Errorf("request.destination (-want +got):\n%s", diff)
	}
	if strings.Contains(w.Body.String(), to) || strings.Contains(w.Body.String(), servertest.ExternalID) {
		t.Errorf("the answer tells what is the catalog's: %v", created)
	}
	id := created["exportId"].(string)
	e, err := f.jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = f.jobs.Claim(t.Context(), e, "w", time.Now()); err != nil {
		t.Fatal(err)
	}
	result := export.Result{Rows: 1, Bytes: 4, Key: e.Key(1)}
	if err := f.jobs.Finalize(t.Context(), e, result); err != nil {
		t.Fatal(err)
	}
	if err := f.jobs.Complete(t.Context(), e, time.Now(), time.Now().Add(-time.Minute)); err != nil { // which would be over
		t.Fatal(err)
	}
	key := "csv/2026/11/" + id + "/1.csv.gz"
	put := func() {
		if _, err := servertest.S3(t).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &to, Key: &key, Body: strings.NewReader("file")}); err != nil {
			t.Fatal(err)
		}
	}
	put()
	_, status := as(t, deliverer, f.get, http.MethodGet, id, "")
	file, _ := status["file"].(map[string]any)
	if status["status"] != "completed" || status["expiresAt"] != nil || file["location"] != "s3://"+to+"/"+key {
		t.Errorf("status %v", status)
	}
	list, _, err := f.jobs.List(t.Context(), jobs.List{Owner: "anna", Status: export.Completed, Size: 10}, time.Now())
	if err != nil || len(list) != 1 {
		t.Errorf("the list of completed exports has %d (%v), want it", len(list), err)
	}

	w, link := as(t, deliverer, f.download, http.MethodGet, id, "")
	if w.Code != http.StatusOK {
		t.Fatalf("%d %v", w.Code, link)
	}
	until, err := time.Parse(time.RFC3339, link["expiresAt"].(string))
	if left := time.Until(until); err != nil || left > time.Hour || left < 50*time.Minute {
		t.Errorf("the URL is said to last %v (%v), its session lasts an hour", left, err)
	}
	resp, err := http.Get(link["url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "file" {
		t.Errorf("download: %s %s (%v)", resp.Status, text, err)
	}
	if w, _ := as(t, deliverer, f.download, http.MethodHead, id, ""); w.Code != http.StatusOK || w.Header().Get("X-Export-Bytes") != "4" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	// Its owner takes it away, and puts it back.
	if _, err := servertest.S3(t).DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &to, Key: &key}); err != nil {
		t.Fatal(err)
	}
	if w, _ := as(t, deliverer, f.download, http.MethodHead, id, ""); w.Code != http.StatusGone {
		t.Errorf("HEAD of what isn't there any more: %d", w.Code)
	}
	put()
	f.deleted(t, id, to)
}

// deleted deletes the export, and checks that its file is gone and the sweep
// will look there.
func (f fixture) deleted(t *testing.T, id, to string) {
	t.Helper()
	remove := &api.DeleteExport{Jobs: f.jobs, Buckets: f.download.Buckets, Notices: queue.New(servertest.AWS(t), servertest.Queue(t)), FileTTL: time.Hour}
	if w, answer := as(t, deliverer, remove, http.MethodDelete, id, ""); w.Code != http.StatusNoContent {
		t.Fatalf("%d %v", w.Code, answer)
	}
	left, err := servertest.S3(t).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &to})
	if err != nil || len(left.Contents) > 0 {
		t.Errorf("%d objects left (%v)", len(left.Contents), err)
	}
	due, err := f.jobs.Due(t.Context(), time.Now().Add(time.Second))
	if err != nil || !cmp.Equal(due.Exports, []string{id}) {
		t.Errorf("due are %v (%v), want the export", due.Exports, err)
	}
	if w, _ := as(t, deliverer, f.download, http.MethodGet, id, ""); w.Code != http.StatusGone {
		t.Errorf("download after it: %d", w.Code)
	}
}

// A retry goes where the catalog says now, and only for who may.
func TestRetryExport_destination(t *testing.T) {
	f := newFixture(t)
	f.delivering(t, "old-bucket")
	_, created := as(t, deliverer, f.create, http.MethodPost, "", `{"destination":{"name":"finance","prefix":"a"}}`)
	id := created["exportId"].(string)
	e, err := f.jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.jobs.Cancel(t.Context(), e, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	f.delivering(t, "new-bucket")
	if w, _ := as(t, scopeless, (*api.RetryExport)(f.create), http.MethodPost, id, "{}"); w.Code != http.StatusForbidden {
		t.Errorf("without the scope: %d", w.Code)
	}
	w, again := as(t, deliverer, (*api.RetryExport)(f.create), http.MethodPost, id, "{}")
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %v", w.Code, again)
	}
	e, err = f.jobs.Get(t.Context(), again["exportId"].(string))
	if err != nil || e.Spec.Destination == nil || e.Spec.Destination.Bucket != "new-bucket" || e.Spec.Destination.Prefix != "a/" {
		t.Errorf("%+v (%v)", e.Spec.Destination, err)
	}
}
