package e2e

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A file of many parts is psql's, too.
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

// Three exports run at once, each in a process of its own. That they can't
// but overlap is a lock's doing: none gets a row before all three have begun.
// That they did is read from run-export's log.
func TestExport_threeAtOnce(t *testing.T) {
	shared.seed(t, midRows)
	selections := []struct{ name, request, where string }{
		{"all rows", `{}`, "true"},
		{"countries", `{"filters":{"country_code":["US","DE"]}}`, "country_code IN ('US', 'DE')"},
		{"values", `{"filters":{"lifetime_value_min":1000}}`, "lifetime_value >= 1000"},
	}
	unlock := shared.lockUsers(t)
	ids := make([]string, len(selections))
	for i, sel := range selections {
		ids[i] = decodeStatus(t, shared.request(t, http.MethodPost, "/exports/csv", sel.request), http.StatusAccepted).ExportID
	}
	var began, ended []time.Time
	for _, id := range ids {
		eventually(t, 30*time.Second, "export "+id+" was claimed", func() bool { return !shared.logged(t, "export claimed", id).IsZero() })
		began = append(began, shared.logged(t, "export claimed", id))
	}
	workers := shared.busyWorkers(t)
	unlock()
	for i, sel := range selections {
		t.Run(sel.name, func(t *testing.T) {
			done := shared.follow(t, ids[i], 2*time.Minute, nil)
			want := shared.psql(t, "COPY (SELECT * FROM users WHERE "+sel.where+" ORDER BY id) TO STDOUT (FORMAT csv, HEADER)")
			if done.Status != "completed" || done.Attempts != 1 {
				t.Fatalf("the export is %s after %d attempts: it may have stopped in between", done.Status, done.Attempts)
			}
			if got := shared.download(t, ids[i]); !bytes.Equal(got, want) {
				t.Errorf("the file of %d bytes isn't psql's of %d bytes", len(got), len(want))
			}
			eventually(t, 10*time.Second, "the end is logged", func() bool { return !shared.logged(t, "export completed", ids[i]).IsZero() })
			ended = append(ended, shared.logged(t, "export completed", ids[i]))
		})
	}
	t.Run("overlap by the log", func(t *testing.T) {
		if len(ended) != 3 || len(workers) != 3 {
			t.Fatalf("%d exports ended, processes %v were busy, want 3", len(ended), workers)
		}
		last, first := slices.MaxFunc(began, time.Time.Compare), slices.MinFunc(ended, time.Time.Compare)
		t.Logf("all three ran for %v", first.Sub(last))
		if !last.Before(first) {
			t.Errorf("begun %v, ended %v: at no moment did all three run", began, ended)
		}
	})
}
