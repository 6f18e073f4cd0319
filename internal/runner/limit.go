package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// limited passes the file's bytes on, and fails as soon as the file can be
// expected to become larger than limit, or is larger than the dataset's limit.
type limited struct {
	out      io.Writer
	limit    int64
	dataset  int64 // the dataset's limit; 0 for none
	progress *progress
	written  int64
}

func (l *limited) Write(p []byte) (int, error) {
	if l.dataset > 0 && l.written+int64(len(p)) > l.dataset {
		return 0, export.Errorf(export.ByteLimit, "The file is larger than %d bytes, the limit of this dataset. Ask for fewer rows or columns.", l.dataset)
	}
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

// rowLimit is the error of an export of more rows than the dataset's limit.
func rowLimit(limits dataset.Limits) error {
	return export.Errorf(export.RowLimit, "The export has more than %d rows, the limit of this dataset. Ask for fewer rows, by filters.", limits.Rows)
}

// overRows reports whether so many rows are more than the limit.
func overRows(limits dataset.Limits, rows int64) bool { return limits.Rows > 0 && rows > limits.Rows }

// withAge ends the context when a snapshot that was taken just now gets older
// than the dataset's limit.
func withAge(ctx context.Context, limits dataset.Limits) (context.Context, context.CancelFunc) {
	if limits.Age == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limits.Age, export.Errorf(export.AgeLimit,
		"Reading the rows takes longer than %s, the limit of this dataset. Ask for fewer rows, or for filters that an index serves.", shortly(limits.Age)))
}

// shortly writes a time without the parts that are zero: 10m for 10m0s.
func shortly(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// aged puts the age limit before what its end led to.
func aged(ctx context.Context, err error) error {
	var limit *export.Error
	if err != nil && errors.As(context.Cause(ctx), &limit) && limit.Code == export.AgeLimit {
		return fmt.Errorf("%w (%w)", limit, err)
	}
	return err
}
