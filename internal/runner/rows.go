package runner

import (
	"io"
	"sync/atomic"
)

// tellEvery is after how many bytes of rows the progress learns of them.
const tellEvery = 64 << 10

// rows counts rows as they pass.
type rows struct {
	out    io.Writer
	count  int64         // rows that passed doesn't have yet
	bytes  int           // theirs
	passed *atomic.Int64 // rows handed on, of all ranges
}

// newRows returns a writer of the rows of one range. Where the range begins
// with a header, the header isn't counted.
func newRows(out io.Writer, header bool, passed *atomic.Int64) *rows {
	r := &rows{out: out, passed: passed}
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
		r.tell()
	}
	return n, nil
}

// tell adds the rows to passed; it must be called after the last one.
func (r *rows) tell() {
	r.passed.Add(r.count)
	r.count, r.bytes = 0, 0
}
