package source

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// countTimeout bounds the count of rows, which runs beside the copy and only
// serves the progress display.
const countTimeout = 2 * time.Minute

// Reader is one connection on a snapshot. It is not safe for concurrent use.
type Reader struct {
	conn *pgx.Conn
}

// Close ends the connection and, with it, whatever the server still runs.
func (r *Reader) Close(ctx context.Context) { closeConn(ctx, r.conn) }

// Range is one stretch of a selection's rows, in the selection's order. The
// ranges of a plan hold every row exactly once.
type Range struct {
	Index int // from 0, in the order of the file
}

// Plan cuts a selection into ranges.
func Plan(dataset.Selection) []Range {
	return []Range{{Index: 0}}
}

// Copy writes the range's rows to w as CSV, as Postgres's own COPY makes it,
// the header before the first range. Every Write is one whole row (or the
// header); w must not keep the slice. Copy returns the number of rows, which
// is Postgres's own count; the header isn't one.
//
// An error of w ends the server's query and is returned as it is.
func (r *Reader) Copy(ctx context.Context, sel dataset.Selection, rng Range, w io.Writer) (int64, error) {
	out := &errWriter{w: w}
	tag, err := r.conn.PgConn().CopyTo(ctx, out, copySQL(sel, rng))
	if out.err != nil {
		return 0, out.err
	}
	if err != nil {
		return 0, translate(ctx, fmt.Sprintf("copy range %d", rng.Index), err)
	}
	rows := out.writes
	if rng.Header() {
		rows--
	}
	if rows != tag.RowsAffected() {
		return 0, &export.Error{
			Code:    export.SourceUnavailable,
			Message: "The database's answer was incomplete.",
			Err:     fmt.Errorf("copy range %d: got %d rows, the server says %s", rng.Index, rows, tag),
		}
	}
	return rows, nil
}

// errWriter counts writes and remembers the writer's own error.
type errWriter struct {
	w      io.Writer
	writes int64
	err    error
}

func (w *errWriter) Write(p []byte) (int, error) {
	w.writes++
	n, err := w.w.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

// Count returns the number of the selection's rows in the snapshot. It gives
// up after two minutes.
func (r *Reader) Count(ctx context.Context, sel dataset.Selection) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	var n int64
	err := r.conn.QueryRow(ctx, countSQL(sel)).Scan(&n)
	return n, translate(ctx, "count the rows", err)
}
