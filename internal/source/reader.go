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
	conn    *pgx.Conn
	inPlace bool // scanInPlace was set
}

// scanInPlace leaves Postgres only those ways to read a stretch of pages that
// give the rows in their order. (A bitmap gives the pages in order, but the
// rows of a page as they were before they were updated in place.) Asking it to
// sort by place would cost two fifths more time: it doesn't know that its TID
// range scan gives that order.
const scanInPlace = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL max_parallel_workers_per_gather = 0"

// Close ends the connection and, with it, whatever the server still runs.
func (r *Reader) Close(ctx context.Context) { closeConn(ctx, r.conn) }

// Copy writes the range's rows to w as CSV, as Postgres's own COPY makes it
// but for what the format adds, with what the file begins with before the
// first range. Every Write is one whole row (or the header); w must not keep
// the slice. Copy returns the number of rows, which is Postgres's own count;
// the header isn't one.
//
// An error of w ends the server's query and is returned as it is.
func (r *Reader) Copy(ctx context.Context, p Plan, rng Range, w io.Writer) (int64, error) {
	if rng.Blocks != nil && !r.inPlace {
		if _, err := r.conn.Exec(ctx, scanInPlace); err != nil {
			return 0, translate(ctx, "prepare to read in place", err)
		}
		r.inPlace = true
	}
	out := &errWriter{w: newLines(w, p.Selection.Format)}
	tag, err := r.conn.PgConn().CopyTo(ctx, out, copySQL(p, rng))
	if out.err != nil {
		return 0, out.err
	}
	if err != nil {
		return 0, translate(ctx, fmt.Sprintf("copy range %d", rng.Index), err)
	}
	rows := out.writes
	if p.Header(rng) {
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

// Header reports whether the range begins with the file's header.
func (p Plan) Header(rng Range) bool { return rng.Index == 0 && p.Selection.Format.Header }

// Prefix is what the file begins with, before any row or header: a byte order
// mark, or nothing.
func (p Plan) Prefix() []byte { return bom(p.Selection.Format) }

// Unchanged checks, after the last range, that all ranges were of the same
// tables. The locks that a reader may take don't prevent that a partition is
// attached, or a schema renamed and another put in its place, and a later
// query's snapshot doesn't hide it. The error's code is SourceUnavailable.
//
// It ends the reader's transaction: the reader can only be closed after it.
func (r *Reader) Unchanged(ctx context.Context, p Plan) error {
	return translate(ctx, "look for other tables", r.unchanged(ctx, p.Selection.Relation))
}

func (r *Reader) unchanged(ctx context.Context, name dataset.Relation) error {
	then, err := r.meaning(ctx, name) // in the snapshot
	if err != nil {
		return err
	}
	if err := renew(ctx, r.conn); err != nil {
		return err
	}
	now, err := r.meaning(ctx, name)
	if err == nil && now != then {
		err = &export.Error{
			Code: export.SourceUnavailable, Message: "The dataset's table was replaced, or its partitions changed, during the export.",
			Err: fmt.Errorf("%s stood for %q and stands for %q", relationSQL(name), then, now),
		}
	}
	return err
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
