package jobs_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

// Whatever ends an export leaves a notice, in the same transaction; nothing else does.
func TestStore_Notice(t *testing.T) {
	for _, test := range []struct {
		status export.Status
		end    func(t *testing.T, f fixture, e export.Export) error
	}{
		{export.Cancelled, func(t *testing.T, f fixture, e export.Export) error { return f.Cancel(t.Context(), e, now, time.Hour) }},
		{export.Failed, func(t *testing.T, f fixture, e export.Export) error {
			return f.Fail(t.Context(), f.claim(t, e, now), export.Failure{Code: export.SourceRejected, Message: "no"}, now, time.Hour)
		}},
		{export.Completed, func(t *testing.T, f fixture, e export.Export) error {
			e = f.claim(t, e, now)
			if err := f.Finalize(t.Context(), e, export.Result{Key: e.Key(1)}); err != nil {
				return err
			}
			return f.Complete(t.Context(), e, now, now.Add(time.Hour))
		}},
	} {
		t.Run(string(test.status), func(t *testing.T) {
			f := newFixture(t)
			e := f.create(t)
			_, err := f.Notice(t.Context(), e.ID)
			wantCode(t, "Notice before the end", err, export.NotFound)
			if err := test.end(t, f, e); err != nil {
				t.Fatal(err)
			}
			got, err := f.Notice(t.Context(), e.ID)
			want := export.Notice{ExportID: e.ID, Owner: "anonymous", Status: test.status, At: now, DueAt: now.Add(time.Minute)}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("notice (%v) (-want +got):\n%s", err, diff)
			}
			ttl := f.item(t, "export#"+e.ID, "notice")["ttl"]
			if want := float64(now.Add(time.Hour + export.RecordTTL).Unix()); ttl != want {
				t.Errorf("ttl %v, want %v", ttl, want)
			}
			due, err := f.Due(t.Context(), now.Add(time.Minute))
			if err != nil || !cmp.Equal(due.Notices, []string{e.ID}) {
				t.Errorf("due notices %v (%v)", due.Notices, err)
			}
			if exports, _, err := f.List(t.Context(), jobs.List{Owner: "anonymous", Size: 10}, now); err != nil || len(exports) != 1 {
				t.Errorf("the owner's list has %d exports (%v)", len(exports), err)
			}
		})
	}
}

// One at a time tells, and who was too slow writes nothing.
func TestStore_ClaimNotice(t *testing.T) {
	f := newFixture(t)
	e := f.create(t)
	if err := f.Cancel(t.Context(), e, now, time.Hour); err != nil {
		t.Fatal(err)
	}
	read := func() export.Notice {
		t.Helper()
		n, err := f.Notice(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := read()
	first.Deliveries = map[string]export.Delivery{"bus": {Attempts: 1, Next: now}, "webhook x": {Attempts: 1, Next: now}}
	claimed, err := f.ClaimNotice(t.Context(), first, now)
	if err != nil || claimed.Rev != 1 {
		t.Fatalf("claimed %+v (%v)", claimed, err)
	}
	if diff := cmp.Diff(claimed, read()); diff != "" {
		t.Errorf("claimed (-returned +read):\n%s", diff)
	}
	_, err = f.ClaimNotice(t.Context(), first, now)
	wantCode(t, "claim of what was claimed", err, export.Conflict)
	_, err = f.ClaimNotice(t.Context(), read(), now.Add(export.NoticeLease))
	wantCode(t, "claim within the lease", err, export.Conflict)
	second, err := f.ClaimNotice(t.Context(), read(), now.Add(export.NoticeLease+time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "record of who lost it", f.RecordNotice(t.Context(), claimed), export.FenceLost)
	claimed.Deliveries = nil
	wantCode(t, "end by who lost it", f.RecordNotice(t.Context(), claimed), export.FenceLost)

	delete(second.Deliveries, "bus")
	second.DueAt = now.Add(time.Hour)
	if err := f.RecordNotice(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	second.LeaseUntil = time.Time{}
	if diff := cmp.Diff(second, read()); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	stale := second
	stale.DueAt = now
	wantCode(t, "postpone of what changed", f.PostponeNotice(t.Context(), stale, now), export.Conflict)
	if err := f.PostponeNotice(t.Context(), second, now.Add(2*time.Hour)); err != nil || read().Sends != 1 || !read().DueAt.Equal(now.Add(2*time.Hour)) {
		t.Errorf("postponed: %v, %+v", err, read())
	}
	last := read()
	last.Deliveries = map[string]export.Delivery{}
	if err := f.RecordNotice(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	_, err = f.Notice(t.Context(), e.ID)
	wantCode(t, "Notice after the last delivery", err, export.NotFound)
	if f.get(t, e.ID).Status != export.Cancelled {
		t.Error("the export went with its notice")
	}
}
