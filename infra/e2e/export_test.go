package e2e

import (
	"bytes"
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
	midRows   = 200_000   // seconds of work
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

// An export of all users, from the request to a file that is psql's.
func TestExport(t *testing.T) {
	shared.seed(t, smallRows)
	before := time.Now().Add(-time.Second)
	accepted := shared.request(t, http.MethodPost, "/exports/csv", "", "Traceparent: "+callersTrace)
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
	t.Run("trace", func(t *testing.T) { shared.checkTrace(t, done) })
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

// An export of no rows is a file too: its header.
func TestExport_empty(t *testing.T) {
	for _, tt := range []struct {
		name, request, where string
		rows                 int // in the table
	}{
		{"no row matches", `{"filters":{"country_code":"ZZ"}}`, "country_code = 'ZZ'", smallRows},
		{"no row at all", `{}`, "true", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shared.seed(t, tt.rows)
			before := time.Now().Add(-time.Second)
			created := decodeStatus(t, shared.request(t, http.MethodPost, "/exports/csv", tt.request), http.StatusAccepted)
			done := shared.follow(t, created.ExportID, time.Minute, nil)
			if want := (progress{TotalRows: new(int), Percentage: 100, SecondsLeft: new(int64)}); !cmp.Equal(want, done.Progress) {
				t.Errorf("progress (-want +got):\n%s", cmp.Diff(want, done.Progress))
			}
			done.Progress.RowsPerSecond = 1 // what checkCompleted wants of the others
			checkCompleted(t, done, before, 1)
			got := shared.download(t, done.ExportID)
			want := shared.psql(t, "COPY (SELECT * FROM users WHERE "+tt.where+" ORDER BY id) TO STDOUT (FORMAT csv, HEADER)")
			if !bytes.Equal(got, want) || bytes.Count(want, []byte("\n")) != 1 {
				t.Errorf("the file holds %q, psql says %q", got, want)
			}
			if done.File.UncompressedBytes != len(want) {
				t.Errorf("uncompressedBytes %d, want %d", done.File.UncompressedBytes, len(want))
			}
			shared.checkNothingLeft(t, done.ExportID)
		})
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
