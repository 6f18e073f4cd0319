package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Health by itself asks nobody.
func TestHealth(t *testing.T) {
	for _, path := range []string{"/health", "/health?deep=false"} {
		var health map[string]string
		shared.get(t, path).decode(t, http.StatusOK, "application/json", &health)
		if diff := cmp.Diff(map[string]string{"status": "ok"}, health); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for _, query := range []string{"deep=", "deep=very", "deep=1", "deep=true&deep=true"} {
		fields := checkProblem(t, shared.get(t, "/health?"+query), http.StatusBadRequest, "invalid_request")
		if !slices.Equal(fields, []string{"deep"}) {
			t.Errorf("%s: errors name %q, want deep", query, fields)
		}
	}
}

// deepHealth is an answer of GET /health?deep=true, or of its problem.
type deepHealth struct {
	Type, Title, Detail, Code, RequestID, Error string // of a problem
	Status                                      any
	CheckedAt                                   time.Time
	Checks                                      map[string]struct {
		Status       string
		Milliseconds *float64
		Message      string
	}
}

// down returns the servers that don't answer, and checks that all are there
// with their latencies.
func (h deepHealth) down(t *testing.T) []string {
	t.Helper()
	var down []string
	for _, name := range []string{"connections", "dynamodb", "postgres", "s3", "sqs"} {
		check, ok := h.Checks[name]
		if !ok || check.Milliseconds == nil || *check.Milliseconds < 0 || len(h.Checks) != 5 {
			t.Errorf("checks %v, want connections, dynamodb, postgres, s3 and sqs with their milliseconds", h.Checks)
		}
		if check.Status != "ok" {
			down = append(down, name+" is "+check.Status)
		}
	}
	return down
}

// The database is locked for the service: deep health says so for as long as
// it remembers, 10 seconds, and then that all is well.
func TestHealth_deep(t *testing.T) {
	reader, err := url.Parse(shared.ReaderURL)
	if err != nil {
		t.Fatal(err)
	}
	role := reader.User.Username()
	shared.psql(t, "ALTER ROLE "+role+" NOLOGIN")
	login := func() { shared.psql(t, "ALTER ROLE "+role+" LOGIN") }
	defer login()
	var bad, again, good deepHealth
	shared.get(t, "/health?deep=true").decode(t, http.StatusServiceUnavailable, "application/problem+json", &bad)
	if diff := cmp.Diff([]string{"connections is down", "postgres is down"}, bad.down(t)); diff != "" || bad.Code != "unavailable" {
		t.Errorf("code %s; down (-want +got):\n%s", bad.Code, diff)
	}
	if a := shared.get(t, "/health"); a.status != http.StatusOK {
		t.Errorf("shallow health answers %d", a.status)
	}
	login()
	shared.get(t, "/health?deep=true").decode(t, http.StatusServiceUnavailable, "application/problem+json", &again)
	if !again.CheckedAt.Equal(bad.CheckedAt) {
		t.Errorf("checked at %v and again at %v: health must not become load", bad.CheckedAt, again.CheckedAt)
	}
	var a answer
	eventually(t, 15*time.Second, "all answers", func() bool {
		a = shared.get(t, "/health?deep=true")
		return a.status != http.StatusServiceUnavailable
	})
	a.decode(t, http.StatusOK, "application/json", &good)
	if down := good.down(t); down != nil || good.Status != "ok" || good.CheckedAt.Sub(bad.CheckedAt) < 10*time.Second {
		t.Errorf("%s\nwant ok, checked 10 s after %v", a.body, bad.CheckedAt)
	}
}
