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
	done   chan struct{}
	rows   int64
	err    error
}

// count begins to count the selection's rows, for the progress display: the
// export doesn't depend on it.
func (r *Runner) count(ctx context.Context, log *slog.Logger, snap *source.Snapshot, sel dataset.Selection, p *progress) *count {
	ctx, cancel := context.WithCancel(ctx)
	c := &count{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		if c.rows, c.err = countRows(ctx, snap, sel); c.err == nil {
			p.total.Store(c.rows)
		} else if ctx.Err() == nil {
			log.WarnContext(ctx, "rows not counted", "error", c.err)
		}
	}()
	return c
}

func countRows(ctx context.Context, snap *source.Snapshot, sel dataset.Selection) (int64, error) {
	reader, err := snap.Reader(ctx)
	if err != nil {
		return 0, err
	}
	defer reader.Close(ctx)
	return reader.Count(ctx, sel)
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

// stop ends the count and waits until its connection is closed.
func (c *count) stop() {
	c.cancel()
	<-c.done
}
