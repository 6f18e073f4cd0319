// Package sweeper repairs what crashes and lost messages leave behind, and
// removes files whose time is over. It looks at every export that is due,
// may run at any time, any number of times and beside itself, and never
// exports anything: it sends messages to those who do.
package sweeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/metrics"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
)

const (
	// minResend and maxResend bound how long after one message the sweeper
	// sends another for the same waiting export: twice as long each time, so
	// that exports that wait for a free worker don't flood the queue.
	minResend = time.Minute
	maxResend = 15 * time.Minute

	// workerLimit is after how long no request of a worker that lost its
	// claim can be under way: its lease, a function's 15 minutes, and clocks
	// that differ.
	workerLimit = export.Lease + 15*time.Minute + 5*time.Minute

	// atOnce is how many repairs are under way at the same time: they mostly wait.
	atOnce = 8
)

// Sweeper repairs exports. All exported fields are required.
type Sweeper struct {
	Jobs      *jobs.Store
	Queue     *queue.Queue
	Buckets   *bucket.Buckets
	Publisher *publish.Publisher
	Worker    string // who this is, for the record

	inDestinations atomic.Int32 // repairs at work there
}

// Sweep looks at every export, every notice of an export's end and every owner's
// quota that is due. One that
// can't be repaired now doesn't keep the others from it; the error names them
// all.
func (s *Sweeper) Sweep(ctx context.Context) error {
	due, err := s.Jobs.Due(ctx, time.Now())
	if err != nil {
		return err
	}
	var problems problems
	problems.add("look for the oldest waiting export", s.watchQueue(ctx))
	var repairs errgroup.Group
	repairs.SetLimit(atOnce)
	look := func(doing, id string, repair func(ctx context.Context, id string) error) {
		repairs.Go(func() error {
			if ctx.Err() == nil {
				problems.add(doing+" "+id, repair(ctx, id))
			}
			return nil
		})
	}
	for _, id := range due.Exports {
		look("repair export", id, s.Repair)
	}
	var untold oldest
	for _, id := range due.Notices {
		look("remind of the end of export", id, func(ctx context.Context, id string) error { return s.remind(ctx, id, &untold) })
	}
	for _, owner := range due.Owners {
		look("reconcile the quota of", owner, s.reconcile)
	}
	_ = repairs.Wait() // they tell problems
	metrics.Emit(ctx, slog.Default(), metrics.Seconds(metrics.OldestNotice, untold.age))
	problems.add("sweep", context.Cause(ctx))
	return problems.err
}

// watchQueue tells for how long the oldest export has waited for a worker; 0
// when none waits.
func (s *Sweeper) watchQueue(ctx context.Context) error {
	since, err := s.Jobs.OldestWaiting(ctx)
	if err != nil {
		return err
	}
	var age time.Duration
	if !since.IsZero() {
		age = max(time.Since(since), 0)
	}
	metrics.Emit(ctx, slog.Default(), metrics.Seconds(metrics.OldestWaiting, age))
	return nil
}

// problems gathers the errors of repairs.
type problems struct {
	mu  sync.Mutex
	err error
}

func (p *problems) add(doing string, err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, fmt.Errorf("%s: %w", doing, err))
}

// Repair does for one export what its state asks for, if it is due; an unknown
// export needs nothing. A Conflict on the way means that somebody else was
// quicker, or that the index was late.
func (s *Sweeper) Repair(ctx context.Context, id string) error {
	e, err := s.Jobs.Get(ctx, id)
	if err != nil {
		return ignore(err, export.NotFound)
	}
	now := time.Now()
	log := logOf(e)
	switch {
	case e.DueAt.IsZero() || e.DueAt.After(now):
		return nil
	case e.Status == export.Completed && e.StatusAt(now) == export.Expired:
		if err := s.Jobs.Expire(ctx, e); err != nil {
			return ignore(err, export.Conflict)
		}
		log.InfoContext(ctx, "file expires")
		metrics.Emit(ctx, log.With("repair", "file expired"), metrics.Count(metrics.Repairs))
		e.Status = export.Expired
		return s.clear(ctx, log, e, now)
	case e.Status.Done():
		return s.away(ctx, e, func(bounded context.Context) error { return s.clear(bounded, log, e, now) })
	case jobs.Claimable(e, now):
		return s.restart(ctx, log, e, now)
	case e.Phase == export.Finalizing && e.LeaseUntil.Before(now):
		return s.away(ctx, e, func(bounded context.Context) error { return s.resume(bounded, e, now) })
	default:
		return nil // its worker is alive
	}
}

// reconcile makes an owner's number of active exports what it is.
func (s *Sweeper) reconcile(ctx context.Context, owner string) error {
	drift, err := s.Jobs.Reconcile(ctx, owner, time.Now())
	if err == nil && drift != 0 {
		slog.WarnContext(ctx, "quota reconciled", "owner", owner, "tooHighBy", drift)
		metrics.Emit(ctx, slog.With("owner", owner, "repair", "quota reconciled"), metrics.Count(metrics.Repairs))
	}
	return ignore(err, export.Conflict)
}

// restart has an export that no worker has started over: a message tells one
// of it. One whose attempts are spent fails instead.
func (s *Sweeper) restart(ctx context.Context, log *slog.Logger, e export.Export, now time.Time) error {
	if !e.Spent() {
		if err := s.Queue.Send(ctx, e.Owner, queue.Message{ExportID: e.ID, Traceparent: e.Traceparent}, 0); err != nil {
			return err
		}
		log.InfoContext(ctx, "sent again", "phase", e.Phase, "sends", e.Sends+1)
		metrics.Emit(ctx, log.With("repair", "sent again"), metrics.Count(metrics.Repairs))
		return s.postpone(ctx, e, now)
	}
	e, err := s.Jobs.TakeOver(ctx, e, s.Worker, now)
	if err != nil {
		return ignore(err, export.Conflict)
	}
	cause := export.Exhausted(export.Errorf(export.Internal, "The last attempt ended without a word."))
	failure := export.Failure{Code: cause.Code, Message: cause.Message}
	if err := s.Jobs.Fail(ctx, e, failure, now, s.Publisher.FileTTL); err != nil {
		return ignore(err, export.FenceLost)
	}
	s.Publisher.Notices.Announce(ctx, e)
	log = logOf(e)
	log.ErrorContext(ctx, "export failed", "code", cause.Code, "error", cause)
	metrics.Emit(ctx, log.With("repair", "attempts spent", "code", cause.Code), metrics.Count(metrics.Repairs), metrics.Count(metrics.Failed))
	return nil
}

// clear removes what an export that is done must not have: uploads, and every
// file but a completed one's own. It does so once soon after the end, and once
// more when no request of a lost worker can be under way any more.
func (s *Sweeper) clear(ctx context.Context, log *slog.Logger, e export.Export, now time.Time) error {
	uploads, err := s.Buckets.For(e).RemoveAll(ctx, e.KeyPrefix(), e.Keeps)
	if blames(ctx, log, e, err) {
		return ignore(s.Jobs.Clear(context.WithoutCancel(ctx), e, afterVain(e, now)), export.Conflict)
	}
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "cleared", "status", e.Status, "uploads", uploads)
	if uploads > 0 {
		metrics.Emit(ctx, log, metrics.Value{Name: metrics.OrphanedUploads, Value: float64(uploads)})
	}
	var again time.Time
	if quiet := e.CompletedAt.Add(workerLimit); now.Before(quiet) {
		again = quiet
	} else if e.Status == export.Completed {
		again = e.ExpiresAt
	}
	return ignore(s.Jobs.Clear(ctx, e, again), export.Conflict)
}

// postpone says when to look again at an export that was sent anew. A message
// too many is harmless; a missing one isn't, so it goes first.
func (s *Sweeper) postpone(ctx context.Context, e export.Export, now time.Time) error {
	return ignore(s.Jobs.Postpone(ctx, e, now.Add(pause(e.Sends))), export.Conflict)
}

// pause is how long to wait after one message more than so many.
func pause(sends int) time.Duration { return min(minResend<<min(sends, 10), maxResend) }

// resume ends the commit of an export whose worker died in it.
func (s *Sweeper) resume(ctx context.Context, e export.Export, now time.Time) error {
	e, err := s.Jobs.TakeOver(ctx, e, s.Worker, now)
	if err != nil {
		return ignore(err, export.Conflict)
	}
	log := logOf(e)
	log.InfoContext(ctx, "commit resumed")
	metrics.Emit(ctx, log.With("repair", "commit resumed"), metrics.Count(metrics.Repairs))
	if err := ignore(s.Publisher.Resume(ctx, e, now), export.FenceLost); err != nil {
		if blames(ctx, log, e, err) {
			return nil
		}
		return err
	}
	if e, err = s.Jobs.Get(ctx, e.ID); err != nil || !jobs.Claimable(e, now) {
		return err
	}
	return s.restart(ctx, logOf(e), e, now)
}

// logOf returns the log of what is done for an export as it is.
func logOf(e export.Export) *slog.Logger {
	return slog.With(e.LogAttrs()...).With("owner", e.Owner)
}

func ignore(err error, code export.Code) error {
	if export.CodeOf(err) == code {
		return nil
	}
	return err
}
