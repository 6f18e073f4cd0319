package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"csvexport/internal/api"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// An export that changes hands while it is being deleted is cancelled all the
// same; one that does so all the time leads to an answer that says so.
func TestDeleteExport_changesMeanwhile(t *testing.T) {
	for _, test := range []struct {
		name   string
		times  int // that a worker claims it right before the cancel
		status int
		want   export.Status
	}{{"once", 1, http.StatusNoContent, export.Cancelled}, {"always", 100, http.StatusServiceUnavailable, export.Processing}} {
		t.Run(test.name, func(t *testing.T) {
			table := servertest.Table(t)
			store := jobs.New(servertest.AWS(t), table)
			f := newFixture(t)
			f.create.Jobs = store
			_, created := do(t, f.create, "anna", http.MethodPost, "", "", "")
			id := created["exportId"].(string)

			target, err := url.Parse(os.Getenv("TEST_DYNAMODB_URL"))
			if err != nil {
				t.Fatal(err)
			}
			through := httputil.NewSingleHostReverseProxy(target)
			claims := 0
			at := time.Now()
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems") && claims < test.times {
					claims++
					at = at.Add(export.Lease + time.Second) // the last one's is over
					e, err := store.Get(t.Context(), id)
					if err == nil {
						_, err = store.Claim(t.Context(), e, "worker", at)
					}
					if err != nil {
						t.Error(err)
					}
				}
				through.ServeHTTP(w, r)
			}))
			defer proxy.Close()
			h := &api.DeleteExport{Jobs: jobs.New(servertest.AWSAt(t, proxy.URL), table), Notices: queue.New(servertest.AWS(t), servertest.Queue(t)), FileTTL: time.Hour}
			w, problem := do(t, h, "anna", http.MethodDelete, id, "", "")
			if w.Code != test.status || (test.status != http.StatusNoContent) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("status %d, %v; want %d", w.Code, problem, test.status)
			}
			if claims == 0 {
				t.Error("the fault didn't fire")
			}
			e, err := store.Get(t.Context(), id)
			if err != nil || e.Status != test.want {
				t.Errorf("the export is %s (%v), want %s", e.Status, err, test.want)
			}
		})
	}
}
