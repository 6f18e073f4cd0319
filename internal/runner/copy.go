package runner

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/gzipmember"
	"csvexport/internal/source"
)

// write reads all rows from one snapshot into the output and seals it. The
// database's connections are closed when it returns.
func (r *Runner) write(ctx context.Context, log *slog.Logger, e export.Export, sel dataset.Selection, out output, p *progress,
) (export.Result, bucket.Sealed, error) {
	snap, err := r.Source.Snapshot(ctx, e.ID, e.Attempt, sel)
	if err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	defer snap.Close(ctx)
	ctx, cancel := withAge(ctx, sel.Limits)
	defer cancel()
	total, order, err := r.read(ctx, log, e, snap, sel, out, p)
	if err != nil {
		return export.Result{}, bucket.Sealed{}, aged(ctx, lostMidway(p, err))
	}
	return out.seal(total, export.Snapshot{AsOf: snap.AsOf(), Order: order})
}

// lostMidway makes a database that can't be reached any more, when rows have
// come from it, an attempt that counts.
func lostMidway(p *progress, err error) error {
	if export.CodeOf(err) != export.SourceUnreachable || p.rows.Load() == 0 {
		return err
	}
	return &export.Error{Code: export.SourceUnavailable, Message: export.MessageOf(err), Err: err}
}

// read reads the snapshot's rows into the output, within the dataset's limits.
func (r *Runner) read(ctx context.Context, log *slog.Logger, e export.Export, snap *source.Snapshot, sel dataset.Selection, out output, p *progress,
) (total rangeResult, order export.Order, err error) {
	reader, err := snap.Reader(ctx)
	if err != nil {
		return rangeResult{}, "", err
	}
	defer reader.Close(ctx)
	counted := r.count(ctx, log, snap, sel, p) // after the reader: where connections are few, it is the one to do without
	defer counted.stop(ctx)
	plan, err := reader.Plan(ctx, sel)
	if err != nil {
		return rangeResult{}, "", err
	}
	log.DebugContext(ctx, "first rows asked", "sinceClaimMs", time.Since(p.began).Milliseconds(), "ranges", len(plan.Ranges), "order", plan.Order)

	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return r.Jobs.RecordSnapshot(groupCtx, e, export.Snapshot{AsOf: snap.AsOf(), Order: plan.Order})
	})
	copied := make(chan struct{})
	if plan.Exact {
		group.Go(func() error { return counted.within(groupCtx, sel.Limits, copied) })
	}
	group.Go(func() (err error) {
		defer close(copied)
		total, err = r.copyAll(groupCtx, log, snap, readers{first: reader, spare: counted.spare, wanted: r.Connections}, plan, out, p)
		return err
	})
	if err := group.Wait(); err != nil {
		return rangeResult{}, "", err
	}
	if n, ok := counted.result(); ok && plan.Exact && n != total.Rows {
		return rangeResult{}, "", &export.Error{
			Code: export.SourceUnavailable, Message: "The database's answers contradict each other.",
			Err: fmt.Errorf("copied %d rows, counted %d in the same snapshot", total.Rows, n),
		}
	}
	return total, plan.Order, reader.Unchanged(ctx, plan)
}

// rangeResult is what came of copying one range, or several in their order.
type rangeResult struct {
	Rows int64
	Sum  gzipmember.Sum // of the plain bytes
	Size int64          // of the bytes in the file
}

// then is the result of r followed by next.
func (r rangeResult) then(next rangeResult) rangeResult {
	return rangeResult{Rows: r.Rows + next.Rows, Sum: r.Sum.Append(next.Sum), Size: r.Size + next.Size}
}

// copyAll writes all of the plan's ranges to the output.
func (r *Runner) copyAll(ctx context.Context, log *slog.Logger, snap *source.Snapshot, from readers, plan source.Plan,
	out output, p *progress,
) (rangeResult, error) {
	if err := out.begin(); err != nil {
		return rangeResult{}, err
	}
	c := &copier{plan: plan, encoding: out.encoding(), sequencer: newSequencer(out), progress: p, results: make([]rangeResult, len(plan.Ranges))}
	if err := c.run(ctx, log, snap, from); err != nil {
		return rangeResult{}, err
	}
	var total rangeResult
	for _, result := range c.results {
		total = total.then(result)
	}
	return total, out.end(total.Sum)
}

// copier copies the ranges of a plan over several connections.
type copier struct {
	plan      source.Plan
	encoding  encoding
	sequencer *sequencer
	progress  *progress

	mu      sync.Mutex
	begun   int           // ranges
	results []rangeResult // by range; each is written by the worker that copies it
}

// readers are the connections that an export copies over.
type readers struct {
	first  *source.Reader
	wanted int                   // with the first one
	spare  <-chan *source.Reader // one more may come, which then is the taker's to close
}

// run copies all ranges, with a worker on each reader. One that the server
// refuses is done without. The reader that counted joins when it has: so an
// export keeps as many of the server's processes busy from its beginning to
// its end.
func (c *copier) run(ctx context.Context, log *slog.Logger, snap *source.Snapshot, from readers) error {
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { c.sequencer.abort(context.Cause(ctx)) })()
	opening, enough := context.WithCancel(ctx) // nobody needs a reader when the last range has begun
	defer enough()
	work := func(reader *source.Reader) error {
		defer enough()
		return c.work(ctx, reader)
	}
	group.Go(func() error { return work(from.first) })
	group.Go(func() error {
		select {
		case reader := <-from.spare:
			defer reader.Close(ctx)
			return work(reader)
		case <-opening.Done():
			return nil
		}
	})
	for range min(from.wanted, len(c.plan.Ranges)) - 1 {
		group.Go(func() error {
			reader, err := snap.Reader(opening)
			switch {
			case err == nil:
				defer reader.Close(ctx)
				return work(reader)
			case ctx.Err() == nil && opening.Err() != nil:
				return nil
			case source.Refused(err):
				log.WarnContext(ctx, "one connection less", "error", err)
				return nil
			default:
				return err
			}
		})
	}
	return group.Wait()
}

// work copies range after range until none is left.
func (c *copier) work(ctx context.Context, reader *source.Reader) error {
	piece := c.encoding.piece()
	for i, slot := c.take(); slot != nil; i, slot = c.take() {
		var err error
		if c.results[i], err = c.copyRange(ctx, reader, c.plan.Ranges[i], piece, slot); err != nil {
			return err
		}
	}
	return nil
}

// take begins the next range: in order, as the sequencer asks.
func (c *copier) take() (int, *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun == len(c.plan.Ranges) {
		return 0, nil
	}
	c.begun++
	return c.begun - 1, c.sequencer.slot(c.begun - 1)
}

func (c *copier) copyRange(ctx context.Context, reader *source.Reader, rng source.Range, p piece, sl *slot) (rangeResult, error) {
	p.Reset(sl)
	if rng.Index == 0 {
		if _, err := p.Write(c.plan.Prefix()); err != nil {
			return rangeResult{}, err
		}
	}
	rows := newRows(p, c.plan.Header(rng), &c.progress.rows, c.plan.Selection.Limits)
	n, err := reader.Copy(ctx, c.plan, rng, rows)
	if err != nil {
		return rangeResult{}, err
	}
	if err := rows.tell(); err != nil {
		return rangeResult{}, err
	}
	sum, err := p.Close()
	if err != nil {
		return rangeResult{}, err
	}
	return rangeResult{Rows: n, Sum: sum, Size: sl.size}, sl.Close()
}
