package runner

import (
	"context"
	"log/slog"

	"csvexport/internal/dataset"
	"csvexport/internal/source"
)

// count is a count of rows that runs beside the copy.
type count struct {
	cancel context.CancelFunc
	spare  chan *source.Reader // the count's own, when it has finished well
	done   chan struct{}
	rows   int64
	err    error
}

// count begins to count the selection's rows, for the progress display: the
// export doesn't depend on it.
func (r *Runner) count(ctx context.Context, log *slog.Logger, snap *source.Snapshot, sel dataset.Selection, p *progress) *count {
	ctx, cancel := context.WithCancel(ctx)
	c := &count{cancel: cancel, spare: make(chan *source.Reader, 1), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		if c.err = c.run(ctx, snap, sel); c.err == nil {
			p.total.Store(c.rows)
		} else if ctx.Err() == nil {
			log.WarnContext(ctx, "rows not counted", "error", c.err)
		}
	}()
	return c
}

// run counts on a reader of its own, which then is to spare.
func (c *count) run(ctx context.Context, snap *source.Snapshot, sel dataset.Selection) error {
	reader, err := snap.Reader(ctx)
	if err != nil {
		return err
	}
	if c.rows, err = reader.Count(ctx, sel); err != nil {
		reader.Close(ctx)
		return err
	}
	c.spare <- reader
	return nil
}

// within waits for the count, which may know before the copy does that there
// are more rows than the dataset's limit. It waits no longer than for copied.
func (c *count) within(ctx context.Context, limits dataset.Limits, copied <-chan struct{}) error {
	select {
	case <-c.done:
		if c.err == nil && overRows(limits, c.rows) {
			return rowLimit(limits)
		}
	case <-copied:
	case <-ctx.Done():
	}
	return nil
}

// result returns the count if it has finished well; it doesn't wait.
func (c *count) result() (int64, bool) {
	select {
	case <-c.done:
		return c.rows, c.err == nil
	default:
		return 0, false
	}
}

// stop ends the count and waits until its connection is closed, unless
// somebody took it.
func (c *count) stop(ctx context.Context) {
	c.cancel()
	<-c.done
	select {
	case reader := <-c.spare:
		reader.Close(ctx)
	default:
	}
}
