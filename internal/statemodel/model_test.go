// Package statemodel runs the real code of jobs, publish, sweeper and notify in random
// interleavings, request by request, with crashes, lost requests and lost
// answers in between, and looks at what must hold (docs/design.md, decision 44).
//
// Workers, sweeps, DELETEs and those who tell of exports' ends are goroutines
// whose requests to DynamoDB, S3, SQS, EventBridge and a webhook's receiver stand at a gate until the test lets one of them go on; so each run is one
// order of requests, and rapid can make it shorter when it finds something. Time
// is a synctest bubble's: a lease runs out at once. DynamoDB is an evaluator of
// the expressions that internal/jobs sends; TestTable compares it with a real
// emulator.
package statemodel

import (
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // of a hundred thousand repairs
	os.Exit(m.Run())
}

// plant puts a bug into a world.
type plant func(w *world)

// check is the property: no sequence breaks what must hold.
func check(t *testing.T, bug plant) func(rt *rapid.T) {
	return func(rt *rapid.T) {
		var thrown any
		var problem error
		synctest.Test(t, func(*testing.T) {
			defer func() { thrown = recover() }() // of rapid's own: it ends a run so
			w := newWorld()
			if bug != nil {
				bug(w)
			}
			defer func() {
				for _, a := range w.working() {
					w.crash(a)
				}
			}()
			sequence(rt, w)
			if w.found() == nil {
				w.end()
			}
			problem = w.found()
		})
		if thrown != nil {
			panic(thrown)
		}
		if problem != nil {
			rt.Fatal(problem)
		}
	}
}

var pauses = []time.Duration{time.Second, 15 * time.Second, 21 * time.Second, 65 * time.Second, 20 * time.Minute}

// sequence draws what happens.
func sequence(rt *rapid.T, w *world) {
	w.create()
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		if w.found() != nil {
			return
		}
		working := w.working()
		switch action := rapid.IntRange(0, 21).Draw(rt, "action"); {
		case action == 0 && len(w.exports) < 3:
			w.create()
		case action <= 3 && len(working) < 4:
			a := w.newActor("worker")
			w.start(a, w.work(a, drawn(rt, "work on export", w.exports)))
		case action == 4 && len(working) < 4:
			a := w.newActor("delete")
			w.start(a, w.remove(a, drawn(rt, "delete export", w.exports)))
		case action <= 6 && len(working) < 4:
			a := w.newActor("sweep")
			w.start(a, w.sweep(a, drawn(rt, "sweep export", w.exports)))
		case action >= 20 && len(working) < 4:
			a := w.newActor("notify")
			w.start(a, w.tell(a, drawn(rt, "tell of export", w.exports)))
		case action == 7:
			time.Sleep(rapid.SampledFrom(pauses).Draw(rt, "pause"))
			synctest.Wait()
			w.look()
		case len(working) == 0:
		case action == 8:
			w.crash(drawn(rt, "crash of", working))
		case action == 9:
			if a := drawn(rt, "beat of", working); w.held(a) != nil {
				w.beat(a)
				w.look()
			}
		default:
			fate := rapid.SampledFrom([]verdict{pass, pass, pass, pass, pass, pass, loseBefore, loseAnswer}).Draw(rt, "fate")
			w.step(drawn(rt, "step of", working), fate)
		}
	}
}

// drawn is one of several, by its place.
func drawn[T any](rt *rapid.T, label string, of []T) T {
	return of[rapid.IntRange(0, len(of)-1).Draw(rt, label)]
}

func TestModel(t *testing.T) { rapid.Check(t, check(t, nil)) }
