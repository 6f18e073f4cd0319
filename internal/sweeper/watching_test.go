package sweeper_test

import (
	"slices"
	"testing"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// Each repair is counted, with its kind, once it is done.
func TestSweeper_metrics(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	finalizing := func(t *testing.T, f fixture, published bool) export.Export {
		e := f.claim(t, f.create(t, old), old)
		r, sealed := f.upload(t, e)
		if err := f.Jobs.Finalize(t.Context(), e, r); err != nil {
			t.Fatal(err)
		}
		if published {
			if err := f.Buckets.For(e).Publish(t.Context(), sealed); err != nil {
				t.Fatal(err)
			}
		}
		e.Result = &r
		return e
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, f fixture)
		want    map[string]float64 // beside the age of the oldest that waits
		repairs []string
	}{
		"nothing to do": {func(*testing.T, fixture) {}, map[string]float64{}, nil},
		"lost message":  {func(t *testing.T, f fixture) { f.create(t, old) }, map[string]float64{"Repairs": 1}, []string{"sent again"}},
		"attempts spent": {
			func(t *testing.T, f fixture) {
				e, at := f.create(t, old), old
				for range export.MaxAttempts {
					e = f.claim(t, f.get(t, e.ID), at)
					at = at.Add(export.Lease + time.Second)
				}
			},
			map[string]float64{"Repairs": 1, "ExportsFailed": 1},
			[]string{"attempts spent"},
		},
		"file is there": {
			func(t *testing.T, f fixture) { finalizing(t, f, true) },
			map[string]float64{"Repairs": 1, "ExportsCompleted": 1, "Rows": 1, "Bytes": 4, "TotalSeconds": servertest.Some},
			[]string{"commit resumed"},
		},
		"file is not there": {
			func(t *testing.T, f fixture) { finalizing(t, f, false) },
			map[string]float64{"Repairs": 2},
			[]string{"commit resumed", "sent again"},
		},
		"file expires": {
			func(t *testing.T, f fixture) {
				if err := f.Jobs.Complete(t.Context(), finalizing(t, f, true), old, old.Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
			},
			map[string]float64{"Repairs": 1},
			[]string{"file expired"},
		},
		"open upload": {
			func(t *testing.T, f fixture) {
				e := f.claim(t, f.create(t, old), old)
				f.leave(t, e)
				if err := f.Jobs.Cancel(t.Context(), e, old, 2*time.Hour); err != nil {
					t.Fatal(err)
				}
			},
			map[string]float64{"OrphanedUploads": 1},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			test.prepare(t, f)
			log := servertest.Log(t)
			f.sweep(t)
			lines := log()
			test.want["OldestWaitingSeconds"], test.want["OldestNoticeSeconds"] = servertest.Some, servertest.Some
			servertest.WantMetrics(t, lines, test.want)
			var repairs []string
			for _, line := range lines {
				if kind, ok := line["repair"].(string); ok {
					repairs = append(repairs, kind)
				}
			}
			if !slices.Equal(repairs, test.repairs) {
				t.Errorf("repairs %q, want %q", repairs, test.repairs)
			}
		})
	}
}

// The age is that of the export that has waited longest, 0 when none waits; one
// that a worker has doesn't wait.
func TestSweeper_oldestWaiting(t *testing.T) {
	f := newFixture(t)
	age := func() float64 {
		log := servertest.Log(t)
		f.sweep(t)
		return servertest.Metrics(t, log())["OldestWaitingSeconds"]
	}
	if got := age(); got != 0 {
		t.Errorf("nobody waits, age %v", got)
	}
	now := time.Now()
	f.create(t, now.Add(-time.Minute))
	oldest := f.create(t, now.Add(-time.Hour))
	if got := age(); got < 3600 || got > 3660 {
		t.Errorf("age %v, want an hour's", got)
	}
	f.claim(t, f.get(t, oldest.ID), now)
	if got := age(); got < 60 || got > 120 {
		t.Errorf("with the oldest claimed: age %v, want a minute's", got)
	}
}

// A message that couldn't be sent is no repair.
func TestSweeper_metrics_notSent(t *testing.T) {
	f := newFixture(t)
	f.create(t, time.Now().Add(-time.Minute))
	f.Queue = queue.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "http://127.0.0.1:1/queue")
	log := servertest.Log(t)
	if err := f.Sweep(t.Context()); err == nil {
		t.Error("no error though SQS is away")
	}
	servertest.WantMetrics(t, log(), map[string]float64{"OldestWaitingSeconds": servertest.Some, "OldestNoticeSeconds": 0})
}
