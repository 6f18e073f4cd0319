package runner

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

// rateWindow is over how many beats the rate of rows is taken.
const rateWindow = 5

// leaseMargin is how long before its lease runs out a worker stops that
// couldn't renew it, so that it never writes beside a successor.
const leaseMargin = 5 * time.Second

// progress is what the copying goroutines know, and the beat tells.
type progress struct {
	began time.Time // the attempt
	rows  atomic.Int64
	total atomic.Int64 // -1 until known
}

// lease keeps a worker's claim alive.
type lease struct {
	jobs     *jobs.Store
	export   export.Export
	progress *progress
	recent   []int64 // rows at the last beats, oldest first
}

// keepLease beats once a second until the returned function is called. When
// the claim is lost, or can't be renewed in time, the returned context ends
// with the reason as its cause.
func keepLease(ctx context.Context, log *slog.Logger, store *jobs.Store, e export.Export, p *progress) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &lease{jobs: store, export: e, progress: p, recent: []int64{0}}
	var done sync.WaitGroup
	stop := make(chan struct{})
	done.Go(func() { l.run(ctx, log, stop, cancel) })
	return ctx, func() {
		close(stop)
		done.Wait()
		cancel(nil)
	}
}

func (l *lease) run(ctx context.Context, log *slog.Logger, stop <-chan struct{}, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(export.Beat)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		err := l.beat(ctx, began)
		switch {
		case err == nil:
			renewed = began
		case export.CodeOf(err) == export.FenceLost:
			cancel(err)
			return
		case time.Since(renewed) > export.Lease-leaseMargin:
			cancel(&export.Error{Code: export.FenceLost, Message: "The worker could not renew its claim.", Err: err})
			return
		default:
			log.WarnContext(ctx, "lease not renewed yet", "error", err)
		}
	}
}

func (l *lease) beat(ctx context.Context, now time.Time) error {
	rows := l.progress.rows.Load()
	p := export.Progress{
		ProcessedRows: rows,
		RowsPerSecond: (rows - l.recent[0]) / int64(len(l.recent)),
	}
	if total := l.progress.total.Load(); total >= 0 {
		p.TotalRows = &total
	}
	if err := l.jobs.Beat(ctx, l.export, p, now); err != nil {
		return err
	}
	l.recent = append(l.recent, rows)
	if len(l.recent) > rateWindow {
		l.recent = l.recent[1:]
	}
	return nil
}
