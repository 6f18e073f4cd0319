package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/publish"
)

// attempt reads, compresses, uploads and publishes the claimed export. When
// it fails, no upload of its own is left, unless the error is
// publish.ErrUnresolved.
func (r *Runner) attempt(ctx context.Context, log *slog.Logger, e export.Export) (export.Result, error) {
	ctx, cancel := withReserve(ctx)
	defer cancel()
	p := &progress{began: time.Now()}
	p.total.Store(-1)
	ctx, stop := keepLease(ctx, log, r.Jobs, e, p)
	defer stop()

	sel, err := r.Catalog.Resolve(e.Spec, e.DatasetFingerprint)
	if err != nil {
		return export.Result{}, err
	}
	// Before any row is read: a destination that can't be written to may have been wrong all along.
	if err := r.Buckets.For(e).Ready(ctx); err != nil {
		return export.Result{}, err
	}
	r.clearEarlier(ctx, log, e)

	out := r.newOutput(ctx, e, sel, p)
	result, sealed, err := r.write(ctx, log, e, sel, out, p)
	if err == nil {
		err = r.Publisher.Commit(ctx, e, result, sealed)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w (%w)", cause, err)
		}
		r.abandon(ctx, log, out, err)
	}
	return result, err
}

// withReserve ends the context before the function's own end, so that there
// is time to settle: by 60 s or a fifth of the time, whichever is less.
func withReserve(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	reserve := min(time.Minute, time.Until(deadline)/5)
	return context.WithDeadlineCause(ctx, deadline.Add(-reserve), errTimeLimit)
}

// clearEarlier ends what earlier attempts may still have running. It doesn't
// hold the export up: fencing doesn't depend on it, and the sweeper comes by.
func (r *Runner) clearEarlier(ctx context.Context, log *slog.Logger, e export.Export) {
	if e.Attempt == 1 {
		return
	}
	if err := r.Source.EndEarlier(ctx, e.ID, e.Attempt); err != nil {
		log.WarnContext(ctx, "queries of earlier attempts not ended", "error", err)
	}
	files := r.Buckets.For(e)
	open, err := files.OpenUploads(ctx, e.KeyPrefix())
	for _, u := range open {
		if attempt := e.AttemptOf(u.Key); attempt > 0 && attempt < e.Attempt {
			err = errors.Join(err, files.AbortUpload(ctx, u.Key, u.ID))
		}
	}
	if err != nil {
		log.WarnContext(ctx, "uploads of earlier attempts not aborted", "error", err)
	}
}

// abandon removes what the attempt has uploaded.
func (r *Runner) abandon(ctx context.Context, log *slog.Logger, out output, err error) {
	if errors.Is(err, publish.ErrUnresolved) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := out.abort(ctx); err != nil {
		log.WarnContext(ctx, "upload not aborted, left to the sweeper", "error", err)
	}
}
