package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/gzipmember"
	"csvexport/internal/publish"
	"csvexport/internal/source"
)

// compressionLevel is deflate's fastest: level 6 makes files 8 % smaller and
// takes 30 % longer.
const compressionLevel = 1

// attempt reads, compresses, uploads and publishes the claimed export. When
// it fails, no upload of its own is left, unless the error is
// publish.ErrUnresolved.
func (r *Runner) attempt(ctx context.Context, log *slog.Logger, e export.Export) (export.Result, error) {
	ctx, cancel := withReserve(ctx)
	defer cancel()
	p := &progress{}
	p.total.Store(-1)
	ctx, stop := keepLease(ctx, log, r.Jobs, e, p)
	defer stop()

	sel, err := r.Catalog.Resolve(e.Spec, e.DatasetFingerprint)
	if err != nil {
		return export.Result{}, err
	}
	r.clearEarlier(ctx, log, e)

	upload := r.Bucket.NewUpload(ctx,
		bucket.Object{Key: e.Key(e.Attempt), Token: e.Token, ContentType: "application/gzip"},
		func(ctx context.Context, id string) error { return r.Jobs.RecordUpload(ctx, e, id) })
	result, sealed, err := r.write(ctx, log, e, sel, upload, p)
	if err == nil {
		err = r.Publisher.Commit(ctx, e, result, sealed)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w (%w)", cause, err)
		}
		r.abandon(ctx, log, upload, err)
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
	r.abortUploads(ctx, log, e, e.Attempt-1)
}

// abortUploads aborts the open uploads of e's attempts up to the given one.
func (r *Runner) abortUploads(ctx context.Context, log *slog.Logger, e export.Export, upTo int) {
	keys := e.Keys(upTo)
	open, err := r.Bucket.OpenUploads(ctx, e.KeyPrefix())
	for _, u := range open {
		if slices.Contains(keys, u.Key) {
			err = errors.Join(err, r.Bucket.AbortUpload(ctx, u.Key, u.ID))
		}
	}
	if err != nil {
		log.WarnContext(ctx, "uploads of earlier attempts not aborted", "error", err)
	}
}

// abandon removes what the attempt has uploaded.
func (r *Runner) abandon(ctx context.Context, log *slog.Logger, upload *bucket.Upload, err error) {
	if errors.Is(err, publish.ErrUnresolved) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := upload.Abort(ctx); err != nil {
		log.WarnContext(ctx, "upload not aborted, left to the sweeper", "error", err)
	}
}

// write reads all rows from one snapshot into the upload and seals it. The
// database's connections are closed when it returns.
func (r *Runner) write(ctx context.Context, log *slog.Logger, e export.Export, sel dataset.Selection, upload *bucket.Upload, p *progress,
) (export.Result, bucket.Sealed, error) {
	snap, err := r.Source.Snapshot(ctx, e.ID, e.Attempt, sel)
	if err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	defer snap.Close(ctx)
	if err := r.Jobs.RecordSnapshot(ctx, e, export.Snapshot{AsOf: snap.AsOf(), Order: export.ByKey}); err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	counted := r.count(ctx, log, snap, sel, p)
	defer counted.stop()

	if _, err := upload.Write(gzipmember.Header()); err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	total, err := r.copyRanges(ctx, snap, sel, upload, p)
	if err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	if n, ok := counted.result(); ok && n != total.Rows {
		return export.Result{}, bucket.Sealed{}, &export.Error{
			Code: export.SourceUnavailable, Message: "The database's answers contradict each other.",
			Err: fmt.Errorf("copied %d rows, counted %d in the same snapshot", total.Rows, n),
		}
	}
	if _, err := upload.Write(gzipmember.Trailer(total.Sum)); err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	sealed, err := upload.Seal()
	return export.Result{
		Rows: total.Rows, UncompressedBytes: total.Sum.Bytes,
		Bytes: sealed.Size, CRC32: sealed.CRC32, Key: sealed.Key, UploadID: sealed.UploadID,
	}, sealed, err
}

// rangeResult is what came of copying one range, or several in their order.
type rangeResult struct {
	Rows int64
	Sum  gzipmember.Sum // of the plain bytes
}

// copyRanges copies all ranges over the runner's connections and writes their
// compressed bytes to out in order.
func (r *Runner) copyRanges(ctx context.Context, snap *source.Snapshot, sel dataset.Selection, out *bucket.Upload, p *progress) (rangeResult, error) {
	ranges := source.Plan(sel)
	results := make([]rangeResult, len(ranges))
	seq := newSequencer(out)
	var next sync.Mutex
	begun := 0
	// take begins the next range: in order, as the sequencer asks.
	take := func() (int, *slot) {
		next.Lock()
		defer next.Unlock()
		if begun == len(ranges) {
			return 0, nil
		}
		begun++
		return begun - 1, seq.slot(begun - 1)
	}

	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { seq.abort(context.Cause(ctx)) })()
	for range min(r.Connections, len(ranges)) {
		group.Go(func() error {
			reader, err := snap.Reader(ctx)
			if err != nil {
				return err
			}
			defer reader.Close(ctx)
			piece, err := gzipmember.NewPiece(compressionLevel)
			if err != nil {
				return err
			}
			for i, sl := take(); sl != nil; i, sl = take() {
				if results[i], err = copyRange(ctx, reader, sel, ranges[i], piece, sl, p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return rangeResult{}, err
	}
	var total rangeResult
	for _, res := range results {
		total.Rows += res.Rows
		total.Sum = total.Sum.Append(res.Sum)
	}
	return total, nil
}

func copyRange(ctx context.Context, reader *source.Reader, sel dataset.Selection, rng source.Range, piece *gzipmember.Piece, sl *slot, p *progress,
) (rangeResult, error) {
	piece.Reset(sl)
	batches := newRows(piece, rng.Header(), &p.rows)
	n, err := reader.Copy(ctx, sel, rng, batches)
	if err != nil {
		return rangeResult{}, err
	}
	if err := batches.flush(); err != nil {
		return rangeResult{}, err
	}
	sum, err := piece.Close()
	if err != nil {
		return rangeResult{}, err
	}
	return rangeResult{Rows: n, Sum: sum}, sl.Close()
}
