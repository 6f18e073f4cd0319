package runner

import (
	"fmt"
	"io"

	"csvexport/internal/export"
)

// limited passes the file's bytes on, and fails as soon as the file can be
// expected to become larger than limit.
type limited struct {
	out      io.Writer
	limit    int64
	progress *progress
	written  int64
}

func (l *limited) Write(p []byte) (int, error) {
	if size := l.projected(); size > l.limit+l.limit/10 { // it is a projection
		return 0, &export.Error{
			Code: export.FileTooLarge, Message: "The file would be larger than the storage allows. Ask for fewer rows or columns.",
			Err: fmt.Errorf("%d bytes so far, about %d expected, %d allowed", l.written, size, l.limit),
		}
	}
	n, err := l.out.Write(p)
	l.written += int64(n)
	return n, err
}

// projected is the size that the file will have if its rows go on as they
// began; 0 until a twentieth of them is read.
func (l *limited) projected() int64 {
	rows, total := l.progress.rows.Load(), l.progress.total.Load()
	if total <= 0 || rows < total/20 || rows == 0 {
		return 0
	}
	return int64(float64(l.written) * float64(total) / float64(rows))
}
