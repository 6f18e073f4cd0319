package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

const (
	smallRows = 5000
	largeRows = 1_000_000 // several parts
)

var uuidV7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func atoi(t *testing.T, text []byte) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestExport(t *testing.T) {
	shared.seed(t, smallRows)
	before := time.Now().Add(-time.Second)
	accepted := shared.request(t, http.MethodPost, "/exports/csv", "")
	created := decodeStatus(t, accepted, http.StatusAccepted)
	if !uuidV7.MatchString(created.ExportID) {
		t.Errorf("exportId %q, want a UUIDv7", created.ExportID)
	}
	if got, want := accepted.header.Get("Location"), "/exports/"+created.ExportID+"/status"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if got := accepted.header.Get("Retry-After"); atoi(t, []byte(got)) < 1 {
		t.Errorf("Retry-After %q", got)
	}
	if created.Status != "processing" || *created.Phase != "queued" || created.Attempts != 0 || created.Progress != (progress{}) {
		t.Errorf("created: %s", accepted.body)
	}

	done := shared.follow(t, created.ExportID, time.Minute, nil)
	checkCompleted(t, done, before, 1)
	shared.checkFile(t, done)
	head := shared.object(t, done)
	if etag := aws.ToString(head.ETag); strings.Contains(etag, "-") {
		t.Errorf("ETag %s: a small file is one PutObject, not a multipart upload", etag)
	}
	shared.checkNothingLeft(t, done.ExportID)
	shared.checkItems(t, done, head.Metadata)
}

// checkCompleted checks the fields of a completed export that its file says
// nothing about.
func checkCompleted(t *testing.T, s status, after time.Time, attempts int) {
	t.Helper()
	if s.Status != "completed" || s.Error != nil || s.ErrorCode != nil {
		t.Fatalf("the export is %s: %s (%s)", s.Status, aws.ToString(s.Error), aws.ToString(s.ErrorCode))
	}
	got := []any{s.Dataset, s.Attempts, aws.ToString(s.Order), s.Consistency.Kind, *s.Progress.SecondsLeft}
	if diff := cmp.Diff([]any{"users", attempts, "key", "snapshot", int64(0)}, got); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
	if s.Progress.RowsPerSecond <= 0 {
		t.Errorf("rowsPerSecond %d", s.Progress.RowsPerSecond)
	}
	last := after
	for name, at := range map[string]*time.Time{"createdAt": s.CreatedAt, "startedAt": s.StartedAt, "completedAt": s.CompletedAt} {
		if at == nil || at.Before(after) || at.After(time.Now()) {
			t.Errorf("%s %v", name, at)
		}
	}
	for _, at := range []time.Time{*s.CreatedAt, *s.StartedAt, *s.CompletedAt} {
		if at.Before(last) {
			t.Errorf("times out of order: created %v, started %v, completed %v", s.CreatedAt, s.StartedAt, s.CompletedAt)
		}
		last = at
	}
	if s.Consistency.AsOf.Before(*s.StartedAt) || s.Consistency.AsOf.After(*s.CompletedAt) {
		t.Errorf("asOf %v, want a time between %v and %v", s.Consistency.AsOf, s.StartedAt, s.CompletedAt)
	}
	if ttl := s.ExpiresAt.Sub(*s.CompletedAt); ttl != 168*time.Hour {
		t.Errorf("the file expires %v after the export's end, want 168h", ttl)
	}
}

func TestExport_large(t *testing.T) {
	shared.seed(t, largeRows)
	before := time.Now().Add(-time.Second)
	id := shared.create(t).ExportID
	early := shared.get(t, "/exports/"+id+"/download")
	checkProblem(t, early, http.StatusConflict, "export_not_ready")
	if got := early.header.Get("Retry-After"); atoi(t, []byte(got)) < 1 {
		t.Errorf("Retry-After %q", got)
	}
	ran := false
	done := shared.follow(t, id, 2*time.Minute, func(s status) { ran = ran || s.Phase != nil && *s.Phase == "running" })
	if !ran {
		t.Error("the status never said running")
	}
	checkCompleted(t, done, before, 1)
	shared.checkFile(t, done)
	if etag := aws.ToString(shared.object(t, done).ETag); !regexp.MustCompile(`-\d+"$`).MatchString(etag) {
		t.Errorf("ETag %s, want that of a multipart upload", etag)
	}
	shared.checkNothingLeft(t, id)
}

func TestExport_noRows(t *testing.T) {
	shared.seed(t, 0)
	before := time.Now().Add(-time.Second)
	done := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
	if done.Progress.RowsPerSecond != 0 {
		t.Errorf("rowsPerSecond %d", done.Progress.RowsPerSecond)
	}
	done.Progress.RowsPerSecond = 1 // what checkCompleted wants of the others
	checkCompleted(t, done, before, 1)
	shared.checkFile(t, done)
}

func TestProblems(t *testing.T) {
	const unknown = "/exports/01890a5d-ac96-774b-bcce-b302099a8057"
	tests := map[string]struct {
		method, path, body string
		status             int
		code               string
		field              string // that errors names
	}{
		"status of unknown id":      {"GET", unknown + "/status", "", 404, "not_found", ""},
		"download of unknown id":    {"GET", unknown + "/download", "", 404, "not_found", ""},
		"malformed id":              {"GET", "/exports/42/status", "", 400, "invalid_request", "id"},
		"malformed id, download":    {"GET", "/exports/42/download", "", 400, "invalid_request", "id"},
		"unknown field":             {"POST", "/exports/csv", `{"limit":5}`, 400, "invalid_request", "limit"},
		"field of a later day":      {"POST", "/exports/csv", `{"fileName":"a.csv.gz"}`, 400, "invalid_request", "fileName"},
		"unknown dataset":           {"POST", "/exports/csv", `{"dataset":"pg_authid"}`, 400, "invalid_request", "dataset"},
		"no JSON":                   {"POST", "/exports/csv", `{`, 400, "invalid_request", ""},
		"JSON that isn't an object": {"POST", "/exports/csv", `[]`, 400, "invalid_request", ""},
		"body over 16 KiB":          {"POST", "/exports/csv", `{"dataset":"` + strings.Repeat("u", 16<<10) + `"}`, 413, "payload_too_large", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fields := checkProblem(t, shared.request(t, tt.method, tt.path, tt.body), tt.status, tt.code)
			if tt.field != "" && !cmp.Equal([]string{tt.field}, fields) {
				t.Errorf("errors name %q, want %q", fields, tt.field)
			}
		})
	}
	t.Run("body that is no JSON by its type", func(t *testing.T) {
		a := shared.request(t, "POST", "/exports/csv", "<export/>", "Content-Type: text/xml")
		checkProblem(t, a, http.StatusUnsupportedMediaType, "unsupported_media_type")
	})
}

// checkProblem checks a problem document (RFC 9457) and returns the fields
// that its errors name.
func checkProblem(t *testing.T, a answer, code int, name string) []string {
	t.Helper()
	var problem struct {
		Type, Title, Detail, Code, RequestID, Error string
		Status                                      int
		Errors                                      []struct{ Field, Message string }
	}
	a.decode(t, code, "application/problem+json", &problem)
	if problem.Status != code || problem.Code != name || problem.Type != "about:blank" || problem.Title != http.StatusText(code) {
		t.Errorf("problem %s, want status %d and code %s", a.body, code, name)
	}
	if problem.Detail == "" || problem.Error != problem.Detail || problem.RequestID == "" {
		t.Errorf("problem %s, want a detail, the same in error, and a requestId", a.body)
	}
	var fields []string
	for _, e := range problem.Errors {
		if e.Message == "" {
			t.Errorf("problem %s: no message for field %q", a.body, e.Field)
		}
		fields = append(fields, e.Field)
	}
	return fields
}

func TestHealth(t *testing.T) {
	var health map[string]string
	shared.get(t, "/health").decode(t, http.StatusOK, "application/json", &health)
	if diff := cmp.Diff(map[string]string{"status": "ok"}, health); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Under API Gateway's stage every path works too, and links stay there.
func TestStagePrefix(t *testing.T) {
	shared.seed(t, smallRows)
	accepted := shared.request(t, http.MethodPost, "/v1/exports/csv", "{}")
	id := decodeStatus(t, accepted, http.StatusAccepted).ExportID
	if got, want := accepted.header.Get("Location"), fmt.Sprintf("/v1/exports/%s/status", id); got != want {
		t.Fatalf("Location %q, want %q", got, want)
	}
	shared.follow(t, id, time.Minute, nil)
	if a := shared.get(t, "/v1/exports/"+id+"/download"); a.status != http.StatusFound {
		t.Errorf("download answers %d\n%s", a.status, a.body)
	}
}
