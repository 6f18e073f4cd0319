package e2e

import (
	"net/http"
	"testing"
	"time"
)

// cancelRows take a few seconds to export: time for a status with some of
// them, and for parts that were sent.
const cancelRows = 3_000_000

// backends counts the connections that an export has to the database.
func (l *local) backends(t *testing.T, id string) int {
	t.Helper()
	return atoi(t, l.psql(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'csvexport "+id+"/%'"))
}

// cancel deletes a running export and checks that its queries end within two
// seconds, and that nothing of it stays.
func (l *local) cancel(t *testing.T, id string) {
	t.Helper()
	if l.backends(t, id) == 0 {
		t.Error("no backend works for the export: there is nothing to end")
	}
	l.remove(t, id)
	cancelled := time.Now()
	eventually(t, 30*time.Second, "the export's queries ended", func() bool { return l.backends(t, id) == 0 })
	took := time.Since(cancelled)
	t.Logf("the queries ended after %v", took)
	if took > 2*time.Second {
		t.Errorf("the queries ended %v after the cancel, want 2 s at most", took)
	}
	eventually(t, 10*time.Second, "the worker stopped", func() bool { return !l.logged(t, "claim lost", id).IsZero() })
	l.checkCancelled(t, id)
}

// checkCancelled checks what is left of a cancelled export: its record.
func (l *local) checkCancelled(t *testing.T, id string) {
	t.Helper()
	s := decodeStatus(t, l.get(t, "/exports/"+id+"/status"), http.StatusOK)
	if s.Status != "cancelled" || s.Error != nil || s.ErrorCode != nil {
		t.Errorf("status %+v, want cancelled", s)
	}
	checkProblem(t, l.get(t, "/exports/"+id+"/download"), http.StatusConflict, "export_failed")
	l.checkNothingLeft(t, id)
	l.checkNoObject(t, id)
	l.remove(t, id) // again
	if again := decodeStatus(t, l.get(t, "/exports/"+id+"/status"), http.StatusOK); again.Status != "cancelled" || !again.CompletedAt.Equal(*s.CompletedAt) {
		t.Errorf("the second DELETE changed the export: %+v", again)
	}
}

// A cancel ends the work within two seconds, whatever it was at, and leaves
// nothing.
func TestCancel(t *testing.T) {
	t.Run("while rows flow", func(t *testing.T) {
		shared.seed(t, cancelRows)
		id := shared.create(t).ExportID
		var seen status
		eventually(t, time.Minute, "some rows, not all, were processed, and a part was sent", func() bool {
			seen = decodeStatus(t, shared.get(t, "/exports/"+id+"/status"), http.StatusOK)
			if seen.Done {
				t.Fatalf("the export is %s already: give it more rows", seen.Status)
			}
			p := seen.Progress
			return p.TotalRows != nil && p.ProcessedRows > 0 && p.ProcessedRows < *p.TotalRows && shared.parts(t, id) > 0
		})
		t.Logf("cancelled after %d of %d rows", seen.Progress.ProcessedRows, *seen.Progress.TotalRows)
		shared.cancel(t, id)
	})
	shared.seed(t, smallRows)
	t.Run("while no row comes", func(t *testing.T) {
		unlock := shared.lockUsers(t)
		defer unlock()
		id := shared.create(t).ExportID
		eventually(t, 30*time.Second, "the export waits for the table", func() bool { return shared.backends(t, id) > 0 })
		shared.cancel(t, id)
	})
	t.Run("while it waits for a worker", func(t *testing.T) {
		unlock := shared.lockUsers(t)
		defer unlock()
		var ids []string
		for range 3 { // run-export's MaximumConcurrency
			ids = append(ids, shared.create(t).ExportID)
		}
		eventually(t, 30*time.Second, "three workers are busy", func() bool { return len(shared.busyWorkers(t)) == 3 })
		id := shared.create(t).ExportID
		shared.remove(t, id)
		unlock()
		for _, id := range ids {
			if done := shared.follow(t, id, time.Minute, nil); done.Status != "completed" {
				t.Errorf("export %s is %s", id, done.Status)
			}
		}
		eventually(t, time.Minute, "a worker saw its message", func() bool { return !shared.logged(t, "nothing to do", id).IsZero() })
		shared.checkCancelled(t, id)
		if s := decodeStatus(t, shared.get(t, "/exports/"+id+"/status"), http.StatusOK); s.Attempts != 0 {
			t.Errorf("%d attempts were made", s.Attempts)
		}
	})
	if active := shared.items(t, "owner#anonymous")["quota"]["active"]; active != number(0) {
		t.Errorf("the owner has %v active exports, want 0", active)
	}
}
