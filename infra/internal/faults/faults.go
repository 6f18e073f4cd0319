// Package faults disturbs a running stack in every way of a list and looks
// whether what the service promises holds: its exports end as they must, and
// nothing is lost, half-published or left behind (package invariants).
//
// A fault has one or more points: the moments, or forms, in which it strikes.
// A point is a function of a trial, in which it makes exports, sets rules at
// the wire before S3, SQS and DynamoDB, or kills a worker that stands at a gate
// there, and says how the export must end. Points run at the same time, but for
// those that are alone because they strike everything.
package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// pointTimeout bounds a point with all its waits; a fault that isn't met by
// then never will be.
const pointTimeout = 6 * time.Minute

// fault is a row of the list.
type fault struct {
	number int
	name   string
	points []point
}

// point is a form of a fault.
type point struct {
	name  string
	alone bool // it strikes all exports that are under way
	run   func(t *trial)
}

// faults are all of them.
func faults() []fault {
	return slices.Concat(workerFaults(), commitFaults(), queueFaults(), cancelFaults(), databaseFaults(), storageFaults(), tableFaults(), loadFaults(), noticeFaults())
}

// outcome is what came of a point.
type outcome struct {
	problems  []string
	attempts  int
	recovered time.Duration // from the fault to the export's end
}

// Run makes the faults with the given numbers strike, all if there are none,
// and reports a line for each. atOnce points run at the same time.
func (s *Suite) Run(ctx context.Context, only []int, atOnce int, out io.Writer) (passed, failed int, err error) {
	chosen := slices.DeleteFunc(faults(), func(f fault) bool { return len(only) > 0 && !slices.Contains(only, f.number) })
	if len(chosen) == 0 {
		return 0, 0, errors.New("there are no faults with these numbers")
	}
	var mu sync.Mutex
	outcomes := map[string]outcome{}
	run := func(f fault, p point) {
		o := s.try(ctx, pointTimeout, p.run)
		mu.Lock()
		defer mu.Unlock()
		outcomes[key(f, p)] = o
		fmt.Fprintf(s.Log, "fault %d %s, %s: %s after %.1f s\n", f.number, f.name, p.name, verdict(o), o.recovered.Seconds())
	}
	var together errgroup.Group
	together.SetLimit(atOnce)
	for _, alone := range []bool{false, true} {
		for _, f := range chosen {
			for _, p := range f.points {
				switch {
				case p.alone != alone:
				case alone:
					run(f, p)
				default:
					together.Go(func() error { run(f, p); return nil })
				}
			}
		}
		_ = together.Wait() // outcomes tell
	}
	if ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	for _, f := range chosen {
		line, ok := report(f, outcomes)
		fmt.Fprintln(out, line)
		if ok {
			passed++
		} else {
			failed++
		}
	}
	return passed, failed, nil
}

func key(f fault, p point) string { return fmt.Sprintf("%d %s", f.number, p.name) }

func verdict(o outcome) string {
	if len(o.problems) == 0 {
		return "ok"
	}
	return "FAILED: " + strings.Join(o.problems, "; ")
}

// report is a fault's line: the most attempts and the longest recovery of its
// points, or what went wrong.
func report(f fault, outcomes map[string]outcome) (line string, ok bool) {
	var worst outcome
	for _, p := range f.points {
		o := outcomes[key(f, p)]
		worst.attempts = max(worst.attempts, o.attempts)
		worst.recovered = max(worst.recovered, o.recovered)
		for _, problem := range o.problems {
			worst.problems = append(worst.problems, p.name+": "+problem)
		}
	}
	line = fmt.Sprintf("fault %d %s: ", f.number, f.name)
	if len(worst.problems) > 0 {
		return line + verdict(worst), false
	}
	return line + fmt.Sprintf("ok attempts=%d recovered_in=%.1fs", worst.attempts, worst.recovered.Seconds()), true
}
