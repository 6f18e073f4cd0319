package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"csvexport/infra/internal/invariants"
	"csvexport/infra/internal/wire"
)

const (
	soakExports = 6                // that aren't done, at the same time
	soakPause   = time.Second      // between two steps, at most
	restarts    = 90 * time.Second // between two restarts of Postgres
	soakEnd     = 8 * time.Minute  // until the last export is done
)

// soak is a time of random disturbances. One goroutine takes all decisions, so
// that a seed stands for them, if not for their moments.
type soak struct {
	*trial
	random *rand.Rand
	open   map[string]bool // exports that may not be done; true: to be cancelled
	kills  sync.WaitGroup

	countMu sync.Mutex
	counts  soakCounts
}

type soakCounts struct {
	exports, completed, failed, cancelled, deleted, kills, flowing, restarts int
}

// Soak creates, cancels and deletes exports, kills workers and restarts
// Postgres at random for a time, and then looks at what has become of every
// export. It reports whether all is as it must be.
func (s *Suite) Soak(ctx context.Context, length time.Duration, seed uint64, out io.Writer) bool {
	var counts soakCounts
	o := s.try(ctx, length+soakEnd+2*settleTime, func(t *trial) {
		k := &soak{trial: t, random: rand.New(rand.NewPCG(seed, 0)), open: map[string]bool{}}
		t.strike()
		k.run(time.Now().Add(length))
		counts = k.counts
	})
	lost, wrong, leaked := sortProblems(o.problems)
	for _, problem := range o.problems {
		fmt.Fprintln(out, "problem:", problem)
	}
	fmt.Fprintf(out, "soak: %d exports, %d completed, %d failed, %d cancelled, %d deleted; %d kills, %d of them while rows flowed, %d restarts of Postgres; %d lost, %d wrong, %d leaked\n",
		counts.exports, counts.completed, counts.failed, counts.cancelled, counts.deleted, counts.kills, counts.flowing, counts.restarts, lost, wrong, leaked)
	return len(o.problems) == 0
}

// sortProblems counts exports that didn't end as they must, files that aren't
// right, and what was left behind.
func sortProblems(problems []string) (lost, wrong, leaked int) {
	for _, p := range problems {
		switch {
		case strings.Contains(p, "psql's COPY") || strings.Contains(p, "gzip") || strings.HasPrefix(p, "object") && strings.Contains(p, "record says"):
			wrong++
		case strings.HasPrefix(p, "object") || strings.HasPrefix(p, "an upload") || strings.HasPrefix(p, "a session"):
			leaked++
		default:
			lost++
		}
	}
	return lost, wrong, leaked
}

func (k *soak) run(until time.Time) {
	restart := time.Now().Add(restarts)
	for time.Now().Before(until) && k.ctx.Err() == nil {
		k.look()
		if len(k.open) < soakExports {
			k.begin()
		}
		if k.random.IntN(20) == 0 {
			k.killAny()
		}
		if time.Now().After(restart) {
			k.must(k.stack.RestartPostgres(k.ctx))
			k.counts.restarts++
			restart = time.Now().Add(restarts)
		}
		time.Sleep(time.Duration(k.random.Int64N(int64(soakPause))))
	}
	k.wait("every export is done", soakEnd, func() bool { k.look(); return len(k.open) == 0 })
	k.kills.Wait()
}

// begin requests an export and decides what is to happen to it.
func (k *soak) begin() {
	k.counts.exports++
	moments := []struct {
		gate  *wire.Gate
		match func(wire.Call) bool
		flows bool
	}{
		{wire.Before(), copying, true},
		{wire.Before(), part("1"), true},
		{wire.After(), part("1"), true},
		{wire.Before(), part("2"), true},
		{wire.Before(), completing, false},
		{wire.After(), completing, false},
	}
	switch n := k.random.IntN(100); {
	case n < 45:
		m := moments[k.random.IntN(len(moments))]
		lateBy := time.Duration(k.random.Int64N(int64(30 * time.Second)))
		id := k.createHeld()
		k.open[id] = false
		k.gate(id, m.gate, m.match)
		k.kills.Go(func() { k.killAt(m.gate, m.flows, lateBy) })
		k.deliver(id)
	case n < 60:
		k.open[k.create(table)] = true
	default:
		k.open[k.create([]string{table, smallTable}[k.random.IntN(2)])] = false
	}
}

// killAt kills the worker that comes to the gate. Its call arrives later.
func (k *soak) killAt(g *wire.Gate, flows bool, lateBy time.Duration) {
	select {
	case call := <-g.Arrived():
		pid, err := k.caller(k.ctx, call)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err == nil {
			k.killed(flows)
		}
		time.Sleep(lateBy)
	case <-time.After(reachTime): // it was killed before
	case <-k.ctx.Done():
	}
	g.Open()
}

// killAny kills a worker whoever it works for.
func (k *soak) killAny() {
	processes, err := invariants.Processes(k.ctx, k.stack.State)
	k.must(err)
	for _, p := range processes {
		if p.Exporting() && p.PID > 1 {
			if syscall.Kill(p.PID, syscall.SIGKILL) == nil {
				k.killed(false)
			}
			return
		}
	}
}

func (k *soak) killed(flows bool) {
	k.countMu.Lock()
	defer k.countMu.Unlock()
	k.counts.kills++
	if flows {
		k.counts.flowing++
	}
}

// look sees which exports are done. Some completed ones are deleted, and those
// that are to be are cancelled.
func (k *soak) look() {
	for id, unwanted := range k.open {
		s := k.status(id)
		switch {
		case !s.Done && unwanted && k.random.IntN(3) == 0:
			k.cancel(id)
			continue
		case !s.Done:
			continue
		case s.Status == "completed":
			k.counts.completed++
			if k.random.IntN(6) == 0 {
				k.cancel(id)
				k.counts.deleted++
			}
		case s.Status == "cancelled":
			k.counts.cancelled++
		case s.Status == "deleted": // cancelled when it was completed already
			k.counts.completed++
			k.counts.deleted++
		case s.Status == "failed" && s.ErrorCode == "attempts_exhausted":
			k.counts.failed++
		default:
			k.errorf("export %s is %s: %s %s", id, s.Status, s.ErrorCode, s.Error)
		}
		delete(k.open, id)
	}
}
