package sweeper_test

import (
	"testing"
	"time"

	"csvexport/internal/export"
)

// An export whose workers all died fails when its attempts are spent.
func TestSweeper_spent(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(-time.Hour)
	e := f.create(t, at)
	for range export.MaxAttempts {
		e = f.claim(t, f.get(t, e.ID), at)
		at = at.Add(export.Lease + time.Second)
	}
	f.leave(t, e)
	f.sweep(t)
	f.wantSent(t)
	got := f.get(t, e.ID)
	if got.Status != export.Failed || got.Failure.Code != export.AttemptsExhausted || got.Attempt != export.MaxAttempts {
		t.Errorf("status %s, failure %+v, attempt %d", got.Status, got.Failure, got.Attempt)
	}
	if _, err := f.Jobs.Claim(t.Context(), e, "late", time.Now()); export.CodeOf(err) != export.Conflict {
		t.Errorf("claim after it: %v", err)
	}
}

// One whose last worker lives is left alone, whoever asks for its repair.
func TestSweeper_lastAttemptAlive(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(-time.Hour)
	e := f.create(t, at)
	for range export.MaxAttempts - 1 {
		e = f.claim(t, f.get(t, e.ID), at)
		at = at.Add(export.Lease + time.Second)
	}
	e = f.claim(t, f.get(t, e.ID), time.Now())
	if err := f.Repair(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, e.ID); got.Status != export.Processing || got.Fence != e.Fence {
		t.Errorf("status %s, fence %d, want processing, %d", got.Status, got.Fence, e.Fence)
	}
}
