package runner

import (
	"io"
	"sync/atomic"

	"csvexport/internal/dataset"
)

// tellEvery is after how many bytes of rows the progress learns of them.
const tellEvery = 64 << 10

// rows counts rows as they pass, up to the dataset's limit.
type rows struct {
	limits dataset.Limits
	out    io.Writer
	count  int64         // rows that passed doesn't have yet
	bytes  int           // theirs
	passed *atomic.Int64 // rows handed on, of all ranges
}

// newRows returns a writer of the rows of one range. Where the range begins
// with a header, the header isn't counted.
func newRows(out io.Writer, header bool, passed *atomic.Int64, limits dataset.Limits) *rows {
	r := &rows{out: out, passed: passed, limits: limits}
	if header {
		r.count = -1
	}
	return r
}

// Write takes one row, or the header. It doesn't keep p.
func (r *rows) Write(p []byte) (int, error) {
	n, err := r.out.Write(p)
	if err != nil {
		return n, err
	}
	r.count++
	if r.bytes += len(p); r.bytes >= tellEvery {
		return n, r.tell()
	}
	return n, nil
}

// tell adds the rows to passed; it must be called after the last one. It fails
// when the rows of all ranges are more than the limit.
func (r *rows) tell() error {
	passed := r.passed.Add(r.count)
	r.count, r.bytes = 0, 0
	if overRows(r.limits, passed) {
		return rowLimit(r.limits)
	}
	return nil
}
