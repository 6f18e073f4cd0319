package jobs_test

import (
	"testing"
	"time"

	"csvexport/internal/export"
)

// Whoever works on an export when it is cancelled can't write any more.
func TestStore_Cancel(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, f fixture, e export.Export) export.Export{
		"queued":  func(_ *testing.T, _ fixture, e export.Export) export.Export { return e },
		"running": func(t *testing.T, f fixture, e export.Export) export.Export { return f.claim(t, e, now) },
		"released": func(t *testing.T, f fixture, e export.Export) export.Export {
			e = f.claim(t, e, now)
			if err := f.Release(t.Context(), e, now); err != nil {
				t.Fatal(err)
			}
			return e
		},
		"finalizing": func(t *testing.T, f fixture, e export.Export) export.Export {
			e = f.claim(t, e, now)
			if err := f.Finalize(t.Context(), e, export.Result{Key: e.Key(1)}); err != nil {
				t.Fatal(err)
			}
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			worker := prepare(t, f, f.create(t))
			e := f.get(t, worker.ID)
			if err := f.Cancel(t.Context(), e, now.Add(time.Second), time.Hour); err != nil {
				t.Fatal(err)
			}
			got := f.get(t, e.ID)
			if got.Status != export.Cancelled || got.Phase != "" || got.Fence != e.Fence+1 || !got.LeaseUntil.IsZero() || got.Result != nil ||
				!got.CompletedAt.Equal(now.Add(time.Second)) {
				t.Errorf("cancelled: %+v", got)
			}
			wantDue := now.Add(time.Second + export.Lease)
			if e.Attempt == 0 { // no worker ever was there
				wantDue = time.Time{}
			}
			if !got.DueAt.Equal(wantDue) {
				t.Errorf("due at %v, want %v", got.DueAt, wantDue)
			}
			for _, sk := range []string{"job", "run"} {
				ttl, _ := f.item(t, "export#"+e.ID, sk)["ttl"].(float64)
				if want := now.Add(time.Second + time.Hour + export.RecordTTL).Unix(); int64(ttl) != want {
					t.Errorf("ttl of %s %v, want %d", sk, ttl, want)
				}
			}
			if active := f.item(t, "owner#anonymous", "quota")["active"]; active != 0.0 {
				t.Errorf("%v active exports, want 0", active)
			}
			wantCode(t, "Beat", f.Beat(t.Context(), worker, export.Progress{}, now), export.FenceLost)
			wantCode(t, "Finalize", f.Finalize(t.Context(), worker, export.Result{}), export.FenceLost)
			wantCode(t, "Complete", f.Complete(t.Context(), worker, now, now), export.FenceLost)
			wantCode(t, "Fail", f.Fail(t.Context(), worker, export.Failure{}, now, 0), export.FenceLost)
			wantCode(t, "Release", f.Release(t.Context(), worker, now), export.FenceLost)
			_, err := f.Claim(t.Context(), e, "another", now.Add(time.Hour))
			wantCode(t, "Claim", err, export.Conflict)
			wantCode(t, "Cancel again", f.Cancel(t.Context(), e, now, time.Hour), export.Conflict)
		})
	}
}

// A cancel that was decided on an old state changes nothing.
func TestStore_Cancel_stale(t *testing.T) {
	f := newFixture(t)
	old := f.create(t)
	worker := f.claim(t, old, now)
	wantCode(t, "Cancel", f.Cancel(t.Context(), old, now, time.Hour), export.Conflict)
	if err := f.Beat(t.Context(), worker, export.Progress{}, now); err != nil {
		t.Errorf("the worker's beat: %v", err)
	}
}

func TestStore_Delete(t *testing.T) {
	f := newFixture(t)
	e := f.claim(t, f.create(t), now)
	wantCode(t, "Delete of a running export", f.Delete(t.Context(), e, now), export.Conflict)
	if err := f.Finalize(t.Context(), e, export.Result{Key: e.Key(1)}); err != nil {
		t.Fatal(err)
	}
	if err := f.Complete(t.Context(), e, now, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	completed := f.get(t, e.ID)
	if err := f.Delete(t.Context(), completed, now); err != nil {
		t.Fatal(err)
	}
	deleted := f.get(t, e.ID)
	if deleted.Status != export.Deleted || !deleted.DueAt.Equal(now) || deleted.Result == nil {
		t.Errorf("deleted: %+v, want it due until its file is gone", deleted)
	}
	wantCode(t, "Delete again", f.Delete(t.Context(), completed, now), export.Conflict)
	wantCode(t, "Expire", f.Expire(t.Context(), completed), export.Conflict)
	if err := f.Clear(t.Context(), deleted, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, e.ID); !got.DueAt.IsZero() {
		t.Errorf("due at %v, want never", got.DueAt)
	}
}
