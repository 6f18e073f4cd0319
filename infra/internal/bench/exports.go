package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"csvexport/infra/internal/lambda"
)

const (
	exports      = 3     // at once: run-export's concurrency in template.yaml
	maxPolls     = 5_000 // of a status while exports run; the host keeps 10,000 reports
	pollEvery    = 100 * time.Millisecond
	exportWithin = 10 * time.Minute // for exports to end
	reportWithin = 10 * time.Second // for a report, after the status that tells the end
)

// Memory is what run-export took for exports of the whole table.
type Memory struct {
	AloneMB  int // one export, in a fresh environment
	AtOnceMB int // the most of any environment, after several exports at once
	Exports  int // at once
	LimitMB  int // the function's, which the local host doesn't enforce
}

// Exports runs one export, then several at once, and measures the status
// while these run. The stack must deliver messages and have run no export yet.
func Exports(ctx context.Context, cfg Config) (Line, Memory, error) {
	b := &bench{Config: cfg, client: newClient(cfg.BaseURL, cfg.LambdaURL)}
	defer b.client.close()
	begin := time.Now()
	fmt.Fprintln(b.Out, "measuring the memory of one export")
	first, err := b.client.create(ctx)
	if err != nil {
		return Line{}, Memory{}, err
	}
	if err := b.follow(ctx, first); err != nil {
		return Line{}, Memory{}, err
	}
	reports, err := b.runs(ctx, begin, 1)
	if err != nil {
		return Line{}, Memory{}, err
	}
	memory := Memory{AloneMB: reports[0].MaxMemoryMB, LimitMB: reports[0].MemoryMB, Exports: exports}

	fmt.Fprintf(b.Out, "measuring the status while %d exports run\n", exports)
	line, err := b.polls(ctx, first)
	if err != nil {
		return Line{}, Memory{}, err
	}
	if reports, err = b.runs(ctx, begin, 1+exports); err != nil {
		return Line{}, Memory{}, err
	}
	for _, r := range reports {
		memory.AtOnceMB = max(memory.AtOnceMB, r.MaxMemoryMB)
	}
	return line, memory, nil
}

// polls measures the status of several exports from their creation to their
// end, in warm environments; warm is an export for the warm-up.
func (b *bench) polls(ctx context.Context, warm string) (Line, error) {
	if _, err := load(ctx, InFlight, times(warmUpRounds*InFlight), func(ctx context.Context) error {
		_, err := b.client.status(ctx, warm)
		return err
	}); err != nil {
		return Line{}, err
	}
	var ids pool
	for range exports {
		id, err := b.client.create(ctx)
		if err != nil {
			return Line{}, err
		}
		ids.add(id)
	}
	done, polls := newEnds(exports), 0
	more := func() bool {
		polls++
		return polls <= maxPolls && !done.all()
	}
	line, err := b.measure(ctx, request{
		name: fmt.Sprintf("… while %d exports run", exports), function: getExport, calls: true,
		do: func(ctx context.Context) error {
			s, err := b.client.status(ctx, ids.next())
			if err != nil {
				return err
			}
			return done.see(s)
		},
	}, InFlight, more)
	if err != nil {
		return Line{}, err
	}
	return line, b.follow(ctx, ids.ids...)
}

// follow waits until exports are completed.
func (b *bench) follow(ctx context.Context, ids ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, exportWithin, fmt.Errorf("the exports take longer than %v", exportWithin))
	defer cancel()
	done := newEnds(len(ids))
	return every(ctx, pollEvery, func() (bool, error) {
		for _, id := range ids {
			s, err := b.client.status(ctx, id)
			if err == nil {
				err = done.see(s)
			}
			if err != nil {
				return false, err
			}
		}
		return done.all(), nil
	})
}

// runs waits for n reports of run-export.
func (b *bench) runs(ctx context.Context, since time.Time, n int) (reports []lambda.Report, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, reportWithin, errors.New("an export is completed, but its invocation isn't reported"))
	defer cancel()
	return reports, every(ctx, pollEvery, func() (bool, error) {
		reports, err = b.client.reports(ctx, runExport, since)
		return len(reports) >= n, err
	})
}

// every asks, with pauses, until the answer is yes.
func every(ctx context.Context, pause time.Duration, ask func() (bool, error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// pool hands out the ids of exports in turn, to any goroutine.
type pool struct {
	mu   sync.Mutex
	ids  []string
	turn int
}

func (p *pool) add(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = append(p.ids, id)
}

// next is one of the ids; there must be one.
func (p *pool) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	return p.ids[p.turn%len(p.ids)]
}

// ends notes which exports are done, for any goroutine.
type ends struct {
	mu   sync.Mutex
	want int
	done map[string]bool
}

func newEnds(want int) *ends { return &ends{want: want, done: map[string]bool{}} }

// see takes a status. The error is that of an export that failed.
func (e *ends) see(s status) error {
	if !s.Done {
		return nil
	}
	if s.Status != "completed" {
		reason := "no error given"
		if s.Error != nil {
			reason = *s.Error
		}
		return fmt.Errorf("export %s is %s: %s", s.ExportID, s.Status, reason)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done[s.ExportID] = true
	return nil
}

func (e *ends) all() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.done) == e.want
}
