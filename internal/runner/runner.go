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
	Bucket      *bucket.Bucket
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
	log := slog.Default().With("exportId", m.ExportID, "traceparent", m.Traceparent)
	e, err := r.Jobs.Get(ctx, m.ExportID)
	switch {
	case export.CodeOf(err) == export.NotFound:
		log.WarnContext(ctx, "message names an unknown export")
		return nil
	case err != nil:
		return err
	case e.Attempt >= export.MaxAttempts && jobs.Claimable(e, time.Now()):
		return r.giveUp(ctx, log, e)
	}
	e, err = r.Jobs.Claim(ctx, e, r.Worker, time.Now())
	if export.CodeOf(err) == export.Conflict {
		log.InfoContext(ctx, "nothing to do", "status", e.Status, "phase", e.Phase)
		return nil
	}
	if err != nil {
		return err
	}
	log = log.With("attempt", e.Attempt, "fence", e.Fence)
	log.InfoContext(ctx, "export claimed", "owner", e.Owner, "dataset", e.Spec.Dataset)

	began := time.Now()
	result, err := r.attempt(ctx, log, e)
	if err != nil {
		r.settle(ctx, log, e, m, err)
		return nil
	}
	log.InfoContext(ctx, "export completed", "rows", result.Rows, "bytes", result.Bytes,
		"uncompressedBytes", result.UncompressedBytes, "seconds", time.Since(began).Seconds(), "key", result.Key)
	return nil
}

// giveUp fails an export whose workers all died.
func (r *Runner) giveUp(ctx context.Context, log *slog.Logger, e export.Export) error {
	e, err := r.Jobs.TakeOver(ctx, e, r.Worker, time.Now())
	if export.CodeOf(err) == export.Conflict {
		return nil
	}
	if err != nil {
		return err
	}
	r.abortUploads(ctx, log, e, e.Attempt)
	r.fail(ctx, log, e, exhausted(errors.New("the last worker vanished")))
	return nil
}

func exhausted(cause error) error {
	return &export.Error{
		Code: export.AttemptsExhausted, Err: cause,
		Message: "The export failed after several attempts. " + export.MessageOf(cause),
	}
}

// settle decides what becomes of an attempt that ended with err.
func (r *Runner) settle(ctx context.Context, log *slog.Logger, e export.Export, m queue.Message, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	switch code := export.CodeOf(err); {
	case errors.Is(err, publish.ErrUnresolved):
		log.ErrorContext(ctx, "commit not settled, left to the sweeper", "error", err)
	case code == export.FenceLost:
		log.WarnContext(ctx, "claim lost", "error", err)
	case code.Permanent():
		r.fail(ctx, log, e, err)
	case e.Attempt >= export.MaxAttempts:
		r.fail(ctx, log, e, exhausted(err))
	default:
		r.release(ctx, log, e, m, err)
	}
}

func (r *Runner) fail(ctx context.Context, log *slog.Logger, e export.Export, err error) {
	failure := export.Failure{Code: export.CodeOf(err), Message: export.MessageOf(err)}
	log.ErrorContext(ctx, "export failed", "code", failure.Code, "error", err)
	if err := r.Jobs.Fail(ctx, e, failure, time.Now(), r.FileTTL); err != nil {
		log.ErrorContext(ctx, "failure not recorded, left to the sweeper", "error", err)
	}
}

// release leaves the export to a later attempt and sends a message for it. If
// that fails, the sweeper sends one.
func (r *Runner) release(ctx context.Context, log *slog.Logger, e export.Export, m queue.Message, err error) {
	delay := backoff(e.Attempt)
	log.WarnContext(ctx, "attempt failed, will be tried again", "error", err, "delaySeconds", delay.Seconds())
	if err := r.Jobs.Release(ctx, e, time.Now().Add(delay+sweepGrace)); err != nil {
		log.ErrorContext(ctx, "export not released, left to the sweeper", "error", err)
		return
	}
	if err := r.Queue.Send(ctx, e.Owner, m, delay); err != nil {
		log.WarnContext(ctx, "message not sent, left to the sweeper", "error", err)
	}
}

// backoff is how long to wait after the given attempt: twice as long each
// time, less up to a half at random, in whole seconds as SQS wants them.
func backoff(attempt int) time.Duration {
	d := min(minBackoff<<attempt, maxBackoff)
	return (d - rand.N(d/2)).Truncate(time.Second) //nolint:gosec // spreading load needs no secrecy
}
