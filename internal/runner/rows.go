package runner

import (
	"io"
	"sync/atomic"
)

// batchSize is how many bytes of rows are handed on at once.
const batchSize = 64 << 10

// rows gathers single rows into batches and counts them as they pass.
type rows struct {
	out     io.Writer
	batch   []byte
	pending int64         // rows in batch
	passed  *atomic.Int64 // rows handed on, of all ranges
}

// newRows returns a writer of the rows of one range. Where the range begins
// with a header, the header isn't counted.
func newRows(out io.Writer, header bool, passed *atomic.Int64) *rows {
	r := &rows{out: out, batch: make([]byte, 0, batchSize), passed: passed}
	if header {
		r.pending = -1
	}
	return r
}

// Write takes one row, or the header. It doesn't keep p.
func (r *rows) Write(p []byte) (int, error) {
	if len(r.batch)+len(p) > cap(r.batch) {
		if err := r.flush(); err != nil {
			return 0, err
		}
	}
	r.pending++
	if len(p) > cap(r.batch) { // a row wider than a batch goes by itself
		n, err := r.out.Write(p)
		if err == nil {
			err = r.flush()
		}
		return n, err
	}
	r.batch = append(r.batch, p...)
	return len(p), nil
}

func (r *rows) flush() error {
	if len(r.batch) > 0 {
		if _, err := r.out.Write(r.batch); err != nil {
			return err
		}
	}
	r.passed.Add(r.pending)
	r.batch, r.pending = r.batch[:0], 0
	return nil
}
