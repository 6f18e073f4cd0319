package api

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// made makes an export of anna's by a create, and ends it as its name says.
func made(t *testing.T, create *CreateExport, end string) string {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	e, err := create.take(asCaller(t, Caller{Owner: "anna"}, http.MethodPost, "", ""), export.Spec{Dataset: "users"}, "", end)
	if err == nil && end == "cancelled" {
		err = create.Jobs.Cancel(ctx, e, now, time.Hour)
	}
	if err == nil && (end == "completed" || end == "deleted") {
		if e, err = create.Jobs.Claim(ctx, e, "worker", now); err == nil {
			err = create.Jobs.Finalize(ctx, e, export.Result{Key: e.Key(1)})
		}
		if err == nil {
			err = create.Jobs.Complete(ctx, e, now, now.Add(time.Hour))
		}
	}
	if err == nil && end == "deleted" {
		err = create.Jobs.Delete(ctx, e, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func asCaller(t *testing.T, c Caller, method, id, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	r = r.WithContext(WithCaller(r.Context(), c))
	r.SetPathValue("id", id)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// Each code of the contract is what a handler answers to some request, with
// its status.
func TestCodes(t *testing.T) {
	cfg := servertest.AWS(t)
	store := jobs.New(cfg, servertest.Table(t))
	create := &CreateExport{Jobs: store, Queue: queue.New(cfg, servertest.Queue(t)), Catalog: dataset.Default()}
	download := &DownloadExport{Jobs: store, Buckets: bucket.NewBuckets(cfg, servertest.Bucket(t), ""), PresignTTL: time.Minute}
	full := *create
	full.Quota = jobs.Quota{Active: 1}
	address, _ := servertest.Busy(t, "TransactionConflict", math.MaxInt64)
	busy := *create
	busy.Jobs = jobs.New(servertest.AWSAt(t, address), "table")
	guarded := *create
	guarded.Catalog = dataset.New(dataset.Dataset{Name: "users", Columns: []dataset.Column{{Name: "id"}}, Requires: "exports"})
	estimate := &EstimateExport{Catalog: dataset.Default(), Estimate: func(context.Context, dataset.Selection) (int64, error) {
		return 0, export.Errorf(export.SourceUnavailable, "The database can't be reached.")
	}}
	cancelled, completed := made(t, create, "cancelled"), made(t, create, "completed")

	anna, answered := Caller{Owner: "anna"}, map[export.Code]bool{}
	for code, test := range map[export.Code]struct {
		h                     http.Handler
		caller                Caller
		method, id, key, body string
	}{
		export.InvalidRequest:        {h: create, caller: anna, body: `{"nope":1}`},
		export.Unauthenticated:       {h: create},
		export.Forbidden:             {h: &guarded, caller: anna},
		export.NotFound:              {h: download, caller: anna, method: http.MethodGet, id: uuid.NewString()},
		export.NotReady:              {h: download, caller: anna, method: http.MethodGet, id: made(t, create, "waiting")},
		export.ExportFailed:          {h: download, caller: anna, method: http.MethodGet, id: cancelled},
		export.NotRetryable:          {h: (*RetryExport)(create), caller: anna, id: completed},
		export.IdempotencyInProgress: {h: &busy, caller: anna, key: "k"},
		export.Gone:                  {h: download, caller: anna, method: http.MethodGet, id: made(t, create, "deleted")},
		export.PayloadTooLarge:       {h: create, caller: anna, body: strings.Repeat(" ", maxBody+1)},
		export.UnsupportedMediaType:  {h: create, caller: anna, body: "text"},
		export.IdempotencyMismatch:   {h: create, caller: anna, key: "used", body: `{"columns":["id"]}`},
		export.TooManyExports:        {h: &full, caller: anna},
		export.Internal:              {h: download, caller: anna, method: http.MethodHead, id: completed}, // whose file is lost
		export.Unavailable:           {h: estimate, caller: anna},
	} {
		t.Run(string(code), func(t *testing.T) {
			r := asCaller(t, test.caller, http.MethodPost, test.id, test.body)
			if test.method != "" {
				r.Method = test.method
			}
			if test.key != "" {
				r.Header.Set("Idempotency-Key", test.key)
			}
			switch code {
			case export.UnsupportedMediaType:
				r.Header.Set("Content-Type", "text/plain")
			case export.IdempotencyMismatch:
				first := r.Clone(r.Context())
				first.Body = http.NoBody
				create.ServeHTTP(httptest.NewRecorder(), first)
			case export.IdempotencyInProgress:
				ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
				defer cancel()
				r = r.WithContext(ctx)
			default:
			}
			w := httptest.NewRecorder()
			test.h.ServeHTTP(w, r)
			var problem struct {
				Code   export.Code
				Status int
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			want := statuses[code].status
			if problem.Code != code || problem.Status != want || w.Code != want || (w.Header().Get("Retry-After") != "") != (statuses[code].retryAfter > 0) {
				t.Errorf("status %d, %s", w.Code, w.Body)
			}
			answered[problem.Code] = true
		})
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(statuses)), slices.Sorted(maps.Keys(answered))); diff != "" {
		t.Errorf("codes (-table +answered):\n%s", diff)
	}
}
