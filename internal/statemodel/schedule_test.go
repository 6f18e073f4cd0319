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
		w = ended()
		w.services.answer = answer
		for began := time.Now(); time.Since(began) < 96*time.Hour && w.notices() > 0; {
			w.tellAll()
			if time.Since(began)%time.Minute == 0 {
				w.sweepAll()
			}
			wait := time.Minute - time.Since(began)%time.Minute // until the next sweep, or the next message
			for _, m := range w.services.notices {
				wait = min(wait, max(time.Until(m.at), time.Millisecond))
			}
			time.Sleep(wait)
		}
		for _, tell := range w.services.tells {
			asked = append(asked, tell.at.Sub(w.services.tells[0].at))
			if want := w.exports[0] + "-cancelled"; tell.id != want {
				t.Errorf("asked with the id %s, want %s", tell.id, want)
			}
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

// within fails unless each attempt came after its delay, a tenth later at most,
// and what a message may take where it comes by one, else a sweep.
func within(t *testing.T, asked, want []time.Duration) {
	t.Helper()
	if len(asked) != len(want)+1 {
		t.Fatalf("asked %d times, want %d: %v", len(asked), len(want)+1, asked)
	}
	for i, d := range want {
		late := 2 * time.Minute
		if d <= 5*time.Minute {
			late = 2 * time.Second
		}
		if got := asked[i+1] - asked[i]; got < d || got > d+d/10+late {
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

// ended is a world of one export that is cancelled.
func ended() *world {
	w := newWorld()
	w.create()
	w.at("delete", func(ctx context.Context, a *actor) { w.remove(a, w.exports[0])(ctx) })
	return w
}

// When the message is lost, the sweep sends another after a minute.
func TestNotify_messageLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ended()
		w.services.notices = nil
		w.sweepAll()
		w.tellAll()
		if n := len(w.services.tells); n != 0 {
			t.Errorf("told %d times without a message", n)
		}
		time.Sleep(time.Minute)
		w.sweepAll()
		w.tellAll()
		if n := len(w.services.tells); n != 1 || w.notices() != 0 || w.found() != nil {
			t.Errorf("told %d times, %d notices left (%v)", n, w.notices(), w.found())
		}
	})
}

// Killed when it has told and not yet recorded it, it tells once more, of the same.
func TestNotify_killed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ended()
		id := w.exports[0]
		a := w.newActor("notify")
		w.start(a, w.tell(a, id))
		for len(w.services.tells) == 0 || w.services.told["bus "+id] == "" {
			w.step(a, pass)
		}
		w.crash(a)
		w.services.notices = nil // its message comes back later than the sweep
		for range 3 {
			time.Sleep(time.Minute)
			w.sweepAll()
			w.tellAll()
		}
		tells := w.services.tells
		if len(tells) != 2 || tells[0].id != tells[1].id || tells[1].at.Sub(tells[0].at) > 3*time.Minute || w.notices() != 0 || w.found() != nil {
			t.Errorf("told %+v, %d notices left (%v)", tells, w.notices(), w.found())
		}
	})
}

// Two messages at once lead to one delivery.
func TestNotify_twice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ended()
		a := w.newActor("notify")
		w.start(a, w.tell(a, w.exports[0]))
		for len(w.services.tells) == 0 {
			w.step(a, pass)
		}
		w.tellAll()
		if len(w.services.tells) != 1 {
			t.Errorf("told %d times", len(w.services.tells))
		}
		for len(w.working()) > 0 {
			w.step(a, pass)
		}
		if w.notices() != 0 || w.found() != nil {
			t.Errorf("%d notices left (%v)", w.notices(), w.found())
		}
	})
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
