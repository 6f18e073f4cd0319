package statemodel

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// The delays of Standard Webhooks 1.0.0, "Deliverability and reliability".
var delays = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// telling has an export end in a bubble of its own time, whose receiver answers
// as the function says, and lets four days go by with a sweep each minute. It
// returns when the receiver was asked, counted from the first time.
func telling(t *testing.T, answer func(n int) (status int, retryAfter string)) (asked []time.Duration, w *world) {
	synctest.Test(t, func(t *testing.T) {
		w = newWorld()
		w.services.answer = answer
		w.create()
		w.at("delete", func(ctx context.Context, a *actor) { w.remove(a, w.exports[0])(ctx) })
		for began := time.Now(); time.Since(began) < 96*time.Hour && w.notices() > 0; {
			w.tellAll()
			if time.Since(began).Truncate(time.Second)%time.Minute == 0 {
				w.sweepAll()
			}
			wait := time.Second
			if time.Since(began) > 10*time.Minute {
				wait = time.Minute - time.Since(began).Truncate(time.Second)%time.Minute
			}
			time.Sleep(wait)
		}
		for _, at := range w.services.tells {
			asked = append(asked, at.Sub(w.services.tells[0]))
		}
		if err := w.found(); err != nil {
			t.Error(err)
		}
	})
	if w.services.told["bus "+w.exports[0]] == "" {
		t.Error("the bus wasn't told")
	}
	return asked, w
}

// within fails unless each attempt came after its delay, a tenth later at most
// and what a sweep may take.
func within(t *testing.T, asked, want []time.Duration) {
	t.Helper()
	if len(asked) != len(want)+1 {
		t.Fatalf("asked %d times, want %d: %v", len(asked), len(want)+1, asked)
	}
	for i, d := range want {
		if got := asked[i+1] - asked[i]; got < d || got > d+d/10+2*time.Minute {
			t.Errorf("attempt %d came %v after the one before, want %v", i+2, got, d)
		}
	}
}

// A receiver that is down for days is asked as the standard's table says, then
// given up.
func TestNotify_schedule(t *testing.T) {
	log := servertest.Log(t)
	asked, w := telling(t, func(int) (int, string) { return http.StatusServiceUnavailable, "" })
	within(t, asked, delays)
	if n := w.notices(); n != 0 {
		t.Errorf("%d notices are left", n)
	}
	got := servertest.Metrics(t, withoutSweeps(log()))
	if want := map[string]float64{"Deliveries": 1, "DeliveryFailures": 10, "DeliveriesGivenUp": 1}; !equal(got, want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
}

// A receiver that was down is told once, when it is back, and always of the same.
func TestNotify_receiverBack(t *testing.T) {
	asked, w := telling(t, func(n int) (int, string) {
		if n <= 4 {
			return http.StatusBadGateway, ""
		}
		return http.StatusOK, ""
	})
	within(t, asked, delays[:4])
	if id := w.exports[0]; w.services.told["receiver "+id] != id+"-"+string(export.Cancelled) || w.notices() != 0 {
		t.Errorf("told %q, %d notices left", w.services.told["receiver "+id], w.notices())
	}
}

// Retry-After counts where it is later than the schedule, and up to a day.
func TestNotify_retryAfter(t *testing.T) {
	asked, _ := telling(t, func(n int) (int, string) {
		if n > 3 {
			return http.StatusAccepted, ""
		}
		return http.StatusTooManyRequests, []string{"600", "1", "9999999"}[n-1]
	})
	within(t, asked, []time.Duration{10 * time.Minute, 5 * time.Minute, 24 * time.Hour})
}

// A receiver that is gone is asked once.
func TestNotify_gone(t *testing.T) {
	asked, w := telling(t, func(int) (int, string) { return http.StatusGone, "" })
	within(t, asked, nil)
	if n := w.notices(); n != 0 {
		t.Errorf("%d notices are left", n)
	}
}

// withoutSweeps leaves out the lines of sweeps, which are many.
func withoutSweeps(lines []map[string]any) (kept []map[string]any) {
	for _, line := range lines {
		if line["target"] != nil {
			delete(line, "traceparent")
			line["exportId"] = nil // this export has no trace
			kept = append(kept, line)
		}
	}
	return kept
}

func equal(a, b map[string]float64) bool {
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return len(a) == len(b)
}
