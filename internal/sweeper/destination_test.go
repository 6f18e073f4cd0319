package sweeper_test

import (
	"net"
	"testing"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// delivered creates an export for a destination that was due at the given time,
// and is claimed.
func (f fixture) delivered(t *testing.T, to, role string, due time.Time) export.Export {
	t.Helper()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Token: "token", Traceparent: trace,
		Spec: export.Spec{Dataset: "users", Destination: &export.Destination{
			Name: "finance", Bucket: to, Root: "csv/", Role: role, ExternalID: servertest.ExternalID,
		}},
		Status: export.Processing, Phase: export.Queued, CreatedAt: due, DueAt: due,
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return f.claim(t, e, due)
}

func (f fixture) fail(t *testing.T, e export.Export, at time.Time) {
	t.Helper()
	if err := f.Jobs.Fail(t.Context(), e, export.Failure{Code: export.SourceRejected, Message: "No table."}, at, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// What workers left in a destination goes as it does here, and nothing else
// that is there.
func TestSweeper_destinationCleared(t *testing.T) {
	f, to, old := newFixture(t), servertest.Bucket(t), time.Now().Add(-time.Hour)
	live := f.delivered(t, to, servertest.Role, time.Now())
	f.leave(t, live)
	for status, end := range map[export.Status]func(t *testing.T, e export.Export){
		export.Failed: func(t *testing.T, e export.Export) { f.fail(t, e, old) },
		export.Cancelled: func(t *testing.T, e export.Export) {
			if err := f.Jobs.Cancel(t.Context(), e, old, time.Hour); err != nil {
				t.Fatal(err)
			}
		},
		export.Deleted: func(t *testing.T, e export.Export) {
			if err := f.Jobs.Finalize(t.Context(), e, export.Result{Key: e.Key(1)}); err != nil {
				t.Fatal(err)
			}
			if err := f.Jobs.Complete(t.Context(), e, old, old.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if got := f.get(t, e.ID); !got.ExpiresAt.IsZero() || !got.DueAt.IsZero() {
				t.Errorf("a completed one expires at %v and is due at %v: its file stays", got.ExpiresAt, got.DueAt)
			}
			if err := f.Jobs.Delete(t.Context(), f.get(t, e.ID), time.Now().Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(string(status), func(t *testing.T) {
			e := f.delivered(t, to, servertest.Role, old)
			f.leave(t, e)
			end(t, e)
			f.sweep(t)
			f.wantLeft(t, e, nil, 0)
			if got := f.get(t, e.ID); got.Status != status || !got.DueAt.IsZero() {
				t.Errorf("status %s, due at %v", got.Status, got.DueAt)
			}
		})
	}
	f.wantLeft(t, live, []string{live.Key(1)}, 1)
}

// A file that a dead worker published in a destination completes its export,
// once and for good: it doesn't expire.
func TestSweeper_destinationResumed(t *testing.T) {
	f, to := newFixture(t), servertest.Bucket(t)
	e := f.delivered(t, to, servertest.Role, time.Now().Add(-time.Hour))
	r, sealed := f.upload(t, e)
	if err := f.Jobs.Finalize(t.Context(), e, r); err != nil {
		t.Fatal(err)
	}
	if err := f.Buckets.For(e).Publish(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	f.sweep(t)
	got := f.get(t, e.ID)
	if got.Status != export.Completed || !got.ExpiresAt.IsZero() || got.StatusAt(time.Now().Add(1000*time.Hour)) != export.Completed {
		t.Errorf("status %s, expires at %v", got.Status, got.ExpiresAt)
	}
	f.wantLeft(t, e, []string{e.Key(1)}, 0)
}

// A destination that refuses is its owner's to mend: the sweep goes on, and
// looks again later.
func TestSweeper_destinationRefuses(t *testing.T) {
	f, old := newFixture(t), time.Now().Add(-10*time.Minute)
	bad := f.delivered(t, "b", servertest.ForeignRole, old)
	f.fail(t, bad, old)
	stuck := f.delivered(t, "b", servertest.ForeignRole, old)
	if err := f.Jobs.Finalize(t.Context(), stuck, export.Result{Key: stuck.Key(1)}); err != nil {
		t.Fatal(err)
	}
	good := f.claim(t, f.create(t, old), old)
	f.leave(t, good)
	f.fail(t, good, old)
	f.sweep(t)
	f.wantLeft(t, good, nil, 0)
	got := f.get(t, bad.ID)
	if wait := time.Until(got.DueAt); got.Status != export.Failed || wait < 9*time.Minute || wait > 12*time.Minute {
		t.Errorf("status %s, due in %v, want about as long as it has been done", got.Status, wait)
	}
	if got := f.get(t, stuck.ID); got.Status != export.Processing || got.DueAt.After(time.Now()) {
		t.Errorf("status %s, due at %v: what became of the file isn't known yet", got.Status, got.DueAt)
	}
}

// Destinations that never answer cost a sweep less than its time, and the
// other exports nothing, however many there are.
func TestSweeper_destinationHangs(t *testing.T) {
	f, old := newFixture(t), time.Now().Add(-10*time.Minute)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for range 12 {
		f.fail(t, f.delivered(t, "b", servertest.Role, old), old)
	}
	waiting := f.create(t, old.Add(time.Minute)) // behind all of them
	f.Buckets = bucket.NewBuckets(servertest.AWSAt(t, "http://"+silent.Addr().String()), "own", "")
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- f.Sweep(t.Context()) }()
	for deadline := time.Now().Add(5 * time.Second); f.get(t, waiting.ID).Sends == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the export behind those of the silent destination waits for them")
		}
	}
	if err := <-done; err != nil {
		t.Errorf("error %v: a destination is no failure of the sweep", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the sweep took %v", took)
	}
}
