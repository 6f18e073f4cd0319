package api_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/api"
	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// completed makes an export of anna's with a file of 4 bytes in the bucket.
func (f fixture) completed(t *testing.T, name string) export.Export {
	t.Helper()
	_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
	e, err := f.jobs.Get(t.Context(), created["exportId"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if e, err = f.jobs.Claim(t.Context(), e, "worker", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := complete(t, f, e, export.Result{Rows: 3, Bytes: 4, CRC32: 0x01020304, Key: e.Key(1)}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	put(t, name, e)
	return e
}

// put puts the export's file of 4 bytes into the bucket.
func put(t *testing.T, name string, e export.Export) {
	t.Helper()
	_, err := servertest.S3(t).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &name, Key: aws.String(e.Key(1)), Body: strings.NewReader("file"), ContentType: aws.String("application/gzip"),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDeleteExport(t *testing.T) {
	f, name := newFixture(t), servertest.Bucket(t)
	files := bucket.NewBuckets(servertest.AWS(t), name, "")
	h := &api.DeleteExport{Jobs: f.jobs, Buckets: files, Notices: queue.New(servertest.AWS(t), servertest.Queue(t)), FileTTL: time.Hour}
	want204 := func(t *testing.T, id string) {
		t.Helper()
		if w, problem := do(t, h, "anna", http.MethodDelete, id, "", ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Fatalf("status %d, %v", w.Code, problem)
		}
	}
	wantStatus := func(t *testing.T, id, want string) {
		t.Helper()
		if _, answer := do(t, f.get, "anna", http.MethodGet, id, "", ""); answer["status"] != want {
			t.Errorf("status %v, want %s", answer["status"], want)
		}
	}
	t.Run("processing", func(t *testing.T) {
		_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
		id := created["exportId"].(string)
		for range 2 {
			want204(t, id)
			wantStatus(t, id, "cancelled")
		}
		if code, answer := list(t, f.jobs, "anna", "status=cancelled"); code != http.StatusOK || len(answer["exports"].([]any)) != 1 {
			t.Errorf("list: status %d, %v", code, answer)
		}
		if w, problem := do(t, f.download, "anna", http.MethodGet, id, "", ""); w.Code != http.StatusConflict || problem["code"] != "export_failed" {
			t.Errorf("download: status %d, %v", w.Code, problem)
		}
	})
	t.Run("completed", func(t *testing.T) {
		e := f.completed(t, name)
		for range 2 {
			want204(t, e.ID)
			wantStatus(t, e.ID, "deleted")
		}
		if head, err := files.For(export.Export{}).Head(t.Context(), e.Key(1)); err != nil || head.Exists {
			t.Errorf("the file is there: %v (%v)", head.Exists, err)
		}
		if w, problem := do(t, f.download, "anna", http.MethodGet, e.ID, "", ""); w.Code != http.StatusGone || problem["code"] != "gone" {
			t.Errorf("download: status %d, %v", w.Code, problem)
		}
		// Should a worker's late request bring the file back, another DELETE, or the sweeper, removes it.
		put(t, name, e)
		want204(t, e.ID)
		if head, err := files.For(export.Export{}).Head(t.Context(), e.Key(1)); err != nil || head.Exists {
			t.Errorf("the file is there again: %v (%v)", head.Exists, err)
		}
	})
	t.Run("completed, S3 silent", func(t *testing.T) {
		e := f.completed(t, name)
		silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		defer silent.Close()
		h := &api.DeleteExport{Jobs: f.jobs, Buckets: bucket.NewBuckets(servertest.AWSAt(t, silent.URL), name, ""), FileTTL: time.Hour}
		began := time.Now()
		defer func() {
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("the answer took %v", took)
			}
		}()
		if w, problem := do(t, h, "anna", http.MethodDelete, e.ID, "", ""); w.Code != http.StatusNoContent {
			t.Errorf("status %d, %v", w.Code, problem)
		}
		wantStatus(t, e.ID, "deleted")
		if after, err := f.jobs.Get(t.Context(), e.ID); err != nil || after.DueAt.IsZero() {
			t.Errorf("never due (%v): nobody would delete the file", err)
		}
	})
	t.Run("completed, its time over", func(t *testing.T) {
		_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
		e, err := f.jobs.Get(t.Context(), created["exportId"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if e, err = f.jobs.Claim(t.Context(), e, "worker", time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := complete(t, f, e, export.Result{Key: e.Key(1)}, time.Now()); err != nil {
			t.Fatal(err)
		}
		want204(t, e.ID)
		wantStatus(t, e.ID, "expired")
	})
	t.Run("failed", func(t *testing.T) {
		_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
		id := created["exportId"].(string)
		e, err := f.jobs.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if e, err = f.jobs.Claim(t.Context(), e, "worker", time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := f.jobs.Fail(t.Context(), e, export.Failure{Code: export.SourceRejected, Message: "No table."}, time.Now(), 0); err != nil {
			t.Fatal(err)
		}
		want204(t, id)
		wantStatus(t, id, "failed")
	})
	t.Run("a stranger's", func(t *testing.T) {
		e := f.completed(t, name)
		for _, id := range []string{e.ID, uuid.NewString()} {
			if w, problem := do(t, h, "bert", http.MethodDelete, id, "", ""); w.Code != http.StatusNotFound {
				t.Errorf("status %d, %v", w.Code, problem)
			}
		}
		wantStatus(t, e.ID, "completed")
	})
}

func TestDownloadExport_head(t *testing.T) {
	f, name := newFixture(t), servertest.Bucket(t)
	f.download.Buckets = bucket.NewBuckets(servertest.AWS(t), name, "")
	e := f.completed(t, name)
	w, _ := do(t, f.download, "anna", http.MethodHead, e.ID, "", "")
	object, err := servertest.S3(t).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &name, Key: aws.String(e.Key(1))})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Content-Type": "application/gzip", "Content-Disposition": `attachment; filename=` + e.FileName(), "Accept-Ranges": "bytes",
		"Etag": *object.ETag, "Last-Modified": object.LastModified.UTC().Format(http.TimeFormat),
		"X-Amz-Checksum-Crc32": "AQIDBA==", "X-Amz-Checksum-Type": "FULL_OBJECT", "X-Export-Bytes": "4", "X-Export-Rows": "3",
		"Cache-Control": "no-store",
	}
	got := map[string]string{}
	for header := range w.Header() {
		got[header] = w.Header().Get(header)
	}
	if diff := cmp.Diff(want, got); w.Code != http.StatusOK || diff != "" {
		t.Errorf("status %d, headers (-want +got):\n%s", w.Code, diff)
	}
	_, processing := do(t, f.create, "anna", http.MethodPost, "", "", "")
	wantHead := func(id string, status int) {
		t.Helper()
		if w, _ := do(t, f.download, "anna", http.MethodHead, id, "", ""); w.Code != status {
			t.Errorf("HEAD answers %d, want %d", w.Code, status)
		}
	}
	wantHead(processing["exportId"].(string), http.StatusConflict)
	if err := f.download.Buckets.For(e).Delete(t.Context(), e.Key(1)); err != nil {
		t.Fatal(err)
	}
	wantHead(e.ID, http.StatusInternalServerError) // the record says that it is there
	f.download.Buckets = bucket.NewBuckets(servertest.AWSAt(t, "http://127.0.0.1:1"), name, "")
	wantHead(e.ID, http.StatusServiceUnavailable)
}

// list asks for a page with the given query.
func list(t *testing.T, store *jobs.Store, owner, query string) (int, map[string]any) {
	t.Helper()
	h := &api.ListExports{Jobs: store}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/exports?"+query, nil)
	w, answer := serve(t, h, r.WithContext(api.WithCaller(r.Context(), api.Caller{Owner: owner, RequestID: "r-1"})))
	return w.Code, answer
}

func TestListExports(t *testing.T) {
	f := newFixture(t)
	if code, answer := list(t, f.jobs, "anna", ""); code != http.StatusOK || fmt.Sprint(answer) != "map[exports:[] nextPageToken:<nil>]" {
		t.Errorf("empty list: status %d, %v", code, answer)
	}
	var want []string
	for range 5 {
		_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
		want = append([]string{created["exportId"].(string)}, want...)
		time.Sleep(2 * time.Millisecond) // the list goes by milliseconds
	}
	var got []string
	token := ""
	for {
		_, answer := list(t, f.jobs, "anna", "pageSize=2"+token)
		for _, e := range answer["exports"].([]any) {
			got = append(got, e.(map[string]any)["exportId"].(string))
		}
		next, ok := answer["nextPageToken"].(string)
		if !ok {
			break
		}
		token = "&pageToken=" + next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if _, answer := list(t, f.jobs, "bert", ""); len(answer["exports"].([]any)) != 0 {
		t.Errorf("a stranger's list: %v", answer)
	}
	for range 16 {
		do(t, f.create, "anna", http.MethodPost, "", "", "")
	}
	if _, answer := list(t, f.jobs, "anna", ""); len(answer["exports"].([]any)) != 20 || answer["nextPageToken"] == nil {
		t.Errorf("a page without pageSize has %d of 21, token %v", len(answer["exports"].([]any)), answer["nextPageToken"])
	}
	forged := func(from, to string) string {
		t.Helper()
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "&pageToken="))
		if err != nil || !strings.Contains(string(b), from) {
			t.Fatalf("token %s (%v) without %s", b, err, from)
		}
		return "pageToken=" + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(b), from, to, 1)))
	}
	anothers := token
	for query, field := range map[string]string{
		"pageSize=0": "pageSize", "pageSize=101": "pageSize", "pageSize=x": "pageSize", "pageSize=%2B5": "pageSize", "pageSize=0&pageToken=x": "pageSize pageToken", "pageSize=": "pageSize", "status=done": "status", "status=": "status",
		"x=1": "x", "pageSize=1&pageSize=2": "pageSize", "pageToken=": "pageToken", "pageToken=x": "pageToken", "pageToken=e30": "pageToken",
		forged(`"v":2`, `"v":1`): "pageToken", forged(`"i":"`, `"i":"x`): "pageToken", forged(`"c":"2`, `"c":"x`): "pageToken",
		anothers[1:] + "&status=failed": "pageToken", "pageSize=0&status=x&y=": "pageSize status y",
	} {
		code, problem := list(t, f.jobs, "anna", query)
		if code != http.StatusBadRequest || fields(problem) != field {
			t.Errorf("%s: status %d, %v", query, code, problem)
		}
	}
	if code, problem := list(t, f.jobs, "bert", anothers[1:]); code != http.StatusForbidden || problem["code"] != "forbidden" {
		t.Errorf("another's token: status %d, %v", code, problem)
	}
}

func health(t *testing.T, h http.Handler, owner, query string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health"+query, nil)
	return serve(t, h, r.WithContext(api.WithCaller(r.Context(), api.Caller{Owner: owner})))
}

func TestHealth(t *testing.T) {
	var asked int
	var fails error
	h := &api.Health{Checks: []api.Check{
		{Name: "dynamodb", Ping: func(context.Context) error { return nil }},
		{Name: "postgres", Ping: func(context.Context) error { asked++; return fails }},
	}}
	get := func(query string) (*httptest.ResponseRecorder, map[string]any) {
		t.Helper()
		return health(t, h, "anna", query)
	}
	for _, query := range []string{"", "?deep=false"} {
		if w, answer := health(t, h, "", query); w.Code != http.StatusOK || fmt.Sprint(answer) != "map[status:ok]" {
			t.Errorf("health%s: status %d, %v", query, w.Code, answer)
		}
	}
	w, problem := health(t, h, "", "?deep=true")
	if w.Code != http.StatusUnauthorized || problem["code"] != "unauthenticated" || w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("deep health for nobody: status %d, %v", w.Code, problem)
	}
	if asked != 0 {
		t.Error("shallow health, or nobody's, asked a server")
	}
	for range 3 {
		w, answer := get("?deep=true")
		checks, _ := answer["checks"].(map[string]any)
		if w.Code != http.StatusOK || answer["status"] != "ok" || len(checks) != 2 || checks["postgres"].(map[string]any)["status"] != "ok" {
			t.Errorf("deep health: status %d, %v", w.Code, answer)
		}
	}
	if asked != 1 {
		t.Errorf("three requests asked %d times, want once in 10 s", asked)
	}
	h = &api.Health{Checks: h.Checks}
	fails = errors.New("password=secret")
	w, problem = get("?deep=true")
	checks, _ := problem["checks"].(map[string]any)
	if w.Code != http.StatusServiceUnavailable || problem["code"] != "unavailable" || w.Header().Get("Retry-After") == "" ||
		checks["postgres"].(map[string]any)["status"] != "down" || checks["dynamodb"].(map[string]any)["status"] != "ok" {
		t.Errorf("a server is down: status %d, %v", w.Code, problem)
	}
	if problem["checkedAt"] == nil {
		t.Errorf("no checkedAt in %v", problem)
	}
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%s tells of the inside", w.Body)
	}
	for _, value := range []string{"maybe", "1", "True"} { // the contract has true and false
		if w, problem := get("?deep=" + value); w.Code != http.StatusBadRequest || fields(problem) != "deep" {
			t.Errorf("deep=%s: status %d, %v", value, w.Code, problem)
		}
	}
}

// A check that comes after another isn't made when that one is down, and only
// messages that are for callers are shown.
func TestHealth_then(t *testing.T) {
	for _, test := range []struct {
		name          string
		first, second error
		want          string
	}{
		{"both well", nil, nil, "postgres ok, connections ok"},
		{"the first is down", errors.New("secret"), nil, "postgres down, connections down: Not checked: postgres is down."},
		{"the second is down", nil, export.Errorf(export.Unavailable, "Too few."), "postgres ok, connections down: Too few."},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			h := &api.Health{Checks: []api.Check{{
				Name: "postgres", Ping: func(context.Context) error { return test.first },
				Then: &api.Check{Name: "connections", Ping: func(context.Context) error { asked++; return test.second }},
			}}}
			_, answer := health(t, h, "anna", "?deep=true")
			var got []string
			for _, name := range []string{"postgres", "connections"} {
				check, _ := answer["checks"].(map[string]any)[name].(map[string]any)
				line := fmt.Sprintf("%s %v", name, check["status"])
				if check["message"] != nil {
					line += fmt.Sprintf(": %v", check["message"])
				}
				got = append(got, line)
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if (asked == 1) != (test.first == nil) {
				t.Errorf("the second was asked %d times", asked)
			}
		})
	}
}

// A server that hangs is down, and doesn't take the others' answers with it.
func TestHealth_hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &api.Health{Checks: []api.Check{
			{Name: "s3", Ping: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			{Name: "sqs", Ping: func(context.Context) error { return nil }},
		}}
		began := time.Now()
		w, problem := health(t, h, "anna", "?deep=true")
		checks, _ := problem["checks"].(map[string]any)
		if w.Code != http.StatusServiceUnavailable || checks["s3"].(map[string]any)["status"] != "down" || checks["sqs"].(map[string]any)["status"] != "ok" {
			t.Errorf("status %d, %v", w.Code, problem)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the answer took %v", took)
		}
	})
}
