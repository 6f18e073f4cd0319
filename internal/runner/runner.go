// Package runner makes one export, from the claim to the commit: it reads the
// rows from one snapshot of the database over several connections, compresses
// them into one file in one order, and has the file published.
//
// A worker that loses its claim, its time or its database stops, leaves no
// upload and no query behind, and either releases the export for another
// attempt or fails it. A worker that dies leaves a lease that runs out.
package runner

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/metrics"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/source"
)

const (
	// settleTimeout bounds what is still to be written after an attempt ended
	// early: it happens on a context of its own.
	settleTimeout = 20 * time.Second

	// A released export waits between these bounds, longer with each attempt.
	minBackoff = 2 * time.Second
	maxBackoff = 5 * time.Minute
	// maxUnreached is the upper bound while the database can't be reached: how
	// long after its return the export may still wait.
	maxUnreached = time.Minute
	// sweepGrace is how long the sweeper leaves it to the message to arrive.
	sweepGrace = time.Minute
)

var errTimeLimit = &export.Error{
	Code:    export.TimeLimit,
	Message: "The export takes longer than one run of the service may. Ask for fewer rows.",
}

// Runner makes exports. All fields are required.
type Runner struct {
	Jobs        *jobs.Store
	Queue       *queue.Queue
	Buckets     *bucket.Buckets
	Source      *source.Source
	Catalog     *dataset.Catalog
	Publisher   *publish.Publisher
	Connections int    // that copy rows, beside the snapshot's
	Worker      string // who this is, for the record
	FileTTL     time.Duration
}

// Run makes the export that the message names, if it waits for a worker. It
// returns nil when the message has served its purpose, whatever became of the
// export: retries don't depend on it. An error means that the state couldn't
// even be read.
func (r *Runner) Run(ctx context.Context, m queue.Message) error {
	e, err := r.Jobs.Get(ctx, m.ExportID)
	if e.Traceparent != "" { // a message by hand has none
		m.Traceparent = e.Traceparent
	}
	log := slog.Default().With("exportId", m.ExportID, "traceparent", m.Traceparent)
	switch {
	case export.CodeOf(err) == export.NotFound:
		log.WarnContext(ctx, "message names an unknown export")
		return nil
	case err != nil:
		return err
	case e.Spent() && jobs.Claimable(e, time.Now()): // its last worker died
		log.WarnContext(ctx, "attempts spent, left to the sweeper", "attempt", e.Attempt)
		return nil
	}
	e, err = r.Jobs.Claim(ctx, e, r.Worker, time.Now())
	if export.CodeOf(err) == export.Conflict {
		log.InfoContext(ctx, "nothing to do", "status", e.Status, "phase", e.Phase)
		return nil
	}
	if err != nil {
		return err
	}
	log = log.With("attempt", e.Attempt, "fence", e.Fence, "dataset", e.Spec.Dataset)
	log.InfoContext(ctx, "export claimed", "owner", e.Owner)
	if e.Attempt == 1 {
		metrics.Emit(ctx, log, metrics.Seconds(metrics.WaitSeconds, max(time.Since(e.CreatedAt), 0)))
	}

	began := time.Now()
	result, err := r.attempt(ctx, log, e)
	if err != nil {
		r.settle(ctx, log, e, m, err)
		return nil
	}
	log.InfoContext(ctx, "export completed", "rows", result.Rows, "bytes", result.Bytes,
		"uncompressedBytes", result.UncompressedBytes, "seconds", time.Since(began).Seconds(), "key", result.Key)
	metrics.Emit(ctx, log, metrics.Seconds(metrics.RunSeconds, time.Since(began)))
	return nil
}

// settle decides what becomes of an attempt that ended with err.
func (r *Runner) settle(ctx context.Context, log *slog.Logger, e export.Export, m queue.Message, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	switch code := export.CodeOf(err); {
	case errors.Is(err, publish.ErrUnresolved):
		log.ErrorContext(ctx, "commit not settled, left to the sweeper", "error", err)
	case code == export.FenceLost:
		r.lost(ctx, log, e, err)
	case code.Permanent():
		r.fail(ctx, log, e, err)
	case code == export.SourceUnreachable && time.Since(e.CreatedAt) < export.ExcusedFor:
		r.release(ctx, log, e, m, err, r.Jobs.Excuse, backoff(e.Attempt, maxUnreached))
	case e.Spent():
		r.fail(ctx, log, e, export.Exhausted(err))
	default:
		r.release(ctx, log, e, m, err, r.Jobs.Release, backoff(e.Counted(), maxBackoff))
	}
}

func (r *Runner) fail(ctx context.Context, log *slog.Logger, e export.Export, err error) {
	failure := export.Failure{Code: export.CodeOf(err), Message: export.MessageOf(err)}
	log.ErrorContext(ctx, "export failed", "code", failure.Code, "error", err)
	if err := r.Jobs.Fail(ctx, e, failure, time.Now(), r.FileTTL); err != nil {
		log.ErrorContext(ctx, "failure not recorded, left to the sweeper", "error", err)
		return
	}
	r.Publisher.Notices.Announce(ctx, e)
	metrics.Emit(ctx, log.With("code", failure.Code), metrics.Count(metrics.Failed))
}

// lost tells that the worker lost its claim: to a cancel, which is nothing to
// worry about, or to another worker.
func (r *Runner) lost(ctx context.Context, log *slog.Logger, e export.Export, err error) {
	log.WarnContext(ctx, "claim lost", "error", err)
	if now, getErr := r.Jobs.Get(ctx, e.ID); getErr == nil && now.Status == export.Cancelled {
		return
	}
	metrics.Emit(ctx, log, metrics.Count(metrics.LeaseLosses))
}

// release leaves the export to a later attempt, by the given move, and sends a
// message for it. If that fails, the sweeper sends one.
func (r *Runner) release(ctx context.Context, log *slog.Logger, e export.Export, m queue.Message, err error,
	move func(ctx context.Context, e export.Export, dueAt time.Time) error, delay time.Duration,
) {
	log.WarnContext(ctx, "attempt failed, will be tried again", "error", err, "delaySeconds", delay.Seconds())
	if err := move(ctx, e, time.Now().Add(delay+sweepGrace)); err != nil {
		log.ErrorContext(ctx, "export not released, left to the sweeper", "error", err)
		return
	}
	metrics.Emit(ctx, log.With("code", export.CodeOf(err)), metrics.Count(metrics.Released))
	if err := r.Queue.Send(ctx, e.Owner, m, delay); err != nil {
		log.WarnContext(ctx, "message not sent, left to the sweeper", "error", err)
	}
}

// backoff is how long to wait after so many attempts: twice as long each time
// up to most, less up to a half at random, in whole seconds as SQS wants them.
func backoff(attempts int, most time.Duration) time.Duration {
	d := min(minBackoff<<min(attempts, 16), most)
	return (d - rand.N(d/2)).Truncate(time.Second) //nolint:gosec // spreading load needs no secrecy
}
