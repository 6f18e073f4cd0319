package runner_test

import (
	"testing"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

const nobodyListens = "postgres://u:p@127.0.0.1:1/db"

// A database that can't be reached uses up no attempt of a young export.
func TestRunner_unreachable(t *testing.T) {
	f := newFixture(t, nobodyListens)
	e := f.create(t)
	const attempts = export.MaxAttempts + 2
	for attempt := 1; attempt <= attempts; attempt++ {
		e = f.run(t, e.ID)
		if e.Status != export.Processing || e.Phase != export.Queued || e.Attempt != attempt || e.Counted() != 0 {
			t.Fatalf("after attempt %d: %+v", attempt, e)
		}
		if wait := time.Until(e.DueAt); wait <= 0 || wait > 2*time.Minute {
			t.Errorf("after attempt %d: due in %v, want soon, since the database may be back", attempt, wait)
		}
	}
	if got := f.messages(t); got != attempts {
		t.Errorf("%d messages sent, want %d", got, attempts)
	}
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	f.Source = newFixture(t, url).Source
	if e = f.run(t, e.ID); e.Status != export.Completed {
		t.Errorf("with the database back: %+v", e)
	}
}

// After an hour, attempts count.
func TestRunner_unreachableForLong(t *testing.T) {
	f := newFixture(t, nobodyListens)
	e := f.createAt(t, time.Now().Add(-export.ExcusedFor))
	for attempt := 1; attempt < export.MaxAttempts; attempt++ {
		e = f.run(t, e.ID)
		if e.Status != export.Processing || e.Phase != export.Queued || e.Counted() != attempt {
			t.Fatalf("after attempt %d: %+v", attempt, e)
		}
	}
	e = f.run(t, e.ID)
	if e.Status != export.Failed || e.Failure.Code != export.AttemptsExhausted {
		t.Errorf("after the last attempt: status %s, failure %+v", e.Status, e.Failure)
	}
	f.wantNothingLeft(t, e, 0)
}

// A message for an export whose last worker died changes nothing: the sweeper
// fails it.
func TestRunner_spent(t *testing.T) {
	f := newFixture(t, servertest.Database(t))
	e := f.create(t)
	at := time.Now().Add(-time.Hour)
	for range export.MaxAttempts {
		var err error
		if e, err = f.Jobs.Claim(t.Context(), f.get(t, e.ID), "dead", at); err != nil {
			t.Fatal(err)
		}
		at = at.Add(export.Lease + time.Second)
	}
	if got := f.run(t, e.ID); got.Status != export.Processing || got.Fence != e.Fence || got.Attempt != export.MaxAttempts {
		t.Errorf("status %s, fence %d, attempt %d", got.Status, got.Fence, got.Attempt)
	}
}
