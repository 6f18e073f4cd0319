package demo

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far an export is: as a bar on a terminal, else as a line
// a second.
type progress struct {
	out  io.Writer
	bar  *progressbar.ProgressBar // nil: lines
	last time.Time
}

func newProgress(out io.Writer, rows int64) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(max(rows, 1),
			progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("exporting"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(50*time.Millisecond))
	}
	return p
}

// show draws a status; the first and the last one always.
func (p *progress) show(s status) error {
	if p.bar != nil {
		if total := s.Progress.TotalRows; total != nil && *total > 0 {
			p.bar.ChangeMax64(*total)
		}
		if err := p.bar.Set64(s.Progress.ProcessedRows); err != nil {
			return err
		}
		if s.Done {
			fmt.Fprintln(p.out)
		}
		return nil
	}
	if !s.Done && time.Since(p.last) < time.Second {
		return nil
	}
	p.last = time.Now()
	_, err := fmt.Fprintln(p.out, line(s))
	return err
}

// line is a status in words.
func line(s status) string {
	state := s.Status
	if s.Phase != nil && !s.Done {
		state = *s.Phase
	}
	text := fmt.Sprintf("%3d %%  %s  %d", s.Progress.Percentage, state, s.Progress.ProcessedRows)
	if s.Progress.TotalRows != nil {
		text += fmt.Sprintf(" of %d", *s.Progress.TotalRows)
	}
	text += " rows"
	if s.Progress.RowsPerSecond != nil {
		text += fmt.Sprintf("  %.0f rows/s", *s.Progress.RowsPerSecond)
	}
	if s.Progress.SecondsLeft != nil {
		text += fmt.Sprintf("  %.0f s left", *s.Progress.SecondsLeft)
	}
	return text
}
