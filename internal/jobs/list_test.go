package jobs_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

// list pages through the whole list and returns the exports' ids.
func (f fixture) list(t *testing.T, q jobs.List, at time.Time) []string {
	t.Helper()
	ids := []string{}
	for {
		page, next, err := f.List(t.Context(), q, at)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > q.Size {
			t.Fatalf("a page of %d, want at most %d", len(page), q.Size)
		}
		for _, e := range page {
			ids = append(ids, e.ID)
		}
		if next == nil {
			return ids
		}
		q.After = next
	}
}

// Pages of every size give every export once, the newest first, also those
// created in the same millisecond.
func TestStore_List(t *testing.T) {
	f := newFixture(t)
	var ids []string
	for range 60 { // more than one read takes
		ids = append(ids, f.create(t).ID) // all of them at the time now
	}
	slices.Sort(ids)
	for _, size := range []int{1, 7, 59, 60, 61, jobs.MaxPage} {
		got := f.list(t, jobs.List{Owner: "anonymous", Size: size}, now)
		slices.Sort(got)
		if diff := cmp.Diff(ids, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
	if got := f.list(t, jobs.List{Owner: "nobody", Size: 10}, now); len(got) != 0 {
		t.Errorf("another owner's list %v", got)
	}
}

func TestStore_List_order(t *testing.T) {
	f := newFixture(t)
	create := func(i int) string {
		e := export.Export{
			ID: "id-" + string(rune('a'+4*i%5)) + strconv.Itoa(i), Owner: "anonymous", Status: export.Processing, Phase: export.Queued,
			CreatedAt: now.Add(time.Duration(i) * time.Millisecond), DueAt: now,
		}
		if err := f.Create(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		return e.ID
	}
	var want []string
	for i := range 5 {
		want = append([]string{create(i)}, want...)
	}
	page, next, err := f.List(t.Context(), jobs.List{Owner: "anonymous", Size: 2}, now)
	if err != nil || len(page) != 2 || next == nil || next.ID != page[1].ID {
		t.Fatalf("first page %v, next %v, error %v", page, next, err)
	}
	newer := create(5) // between two pages
	if diff := cmp.Diff(want, append([]string{page[0].ID, page[1].ID}, f.list(t, jobs.List{Owner: "anonymous", Size: 2, After: next}, now)...)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if got := f.list(t, jobs.List{Owner: "anonymous", Size: 10}, now); !slices.Contains(got, newer) {
		t.Errorf("a new list %v doesn't hold %s", got, newer)
	}
}

// The filter goes by the status that callers see.
func TestStore_List_status(t *testing.T) {
	f := newFixture(t)
	complete := func(expires time.Time) string {
		e := f.claim(t, f.create(t), now)
		if err := f.Finalize(t.Context(), e, export.Result{Key: e.Key(1)}); err != nil {
			t.Fatal(err)
		}
		if err := f.Complete(t.Context(), e, now, expires); err != nil {
			t.Fatal(err)
		}
		return e.ID
	}
	cancelled := f.create(t)
	if err := f.Cancel(t.Context(), cancelled, now, time.Hour); err != nil {
		t.Fatal(err)
	}
	outlived := f.create(t)
	if err := f.Cancel(t.Context(), outlived, now.Add(-2*export.RecordTTL), 0); err != nil {
		t.Fatal(err)
	}
	want := map[export.Status][]string{
		export.Processing: {f.create(t).ID}, export.Completed: {complete(now.Add(time.Hour))}, export.Expired: {complete(now)},
		export.Cancelled: {cancelled.ID}, export.Failed: {}, export.Deleted: {},
	}
	for _, status := range export.Statuses {
		if diff := cmp.Diff(want[status], f.list(t, jobs.List{Owner: "anonymous", Status: status, Size: 1}, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status, diff)
		}
	}
	if got := f.list(t, jobs.List{Owner: "anonymous", Size: 3}, now); len(got) != 4 || slices.Contains(got, outlived.ID) {
		t.Errorf("all: %v, want 4 without the outlived %s", got, outlived.ID)
	}
}
