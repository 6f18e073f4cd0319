package runner

import (
	"bytes"
	"testing"
	"time"

	"csvexport/internal/export"
)

// A file fails as soon as it is projected to be larger than allowed, and not
// because its first rows are large.
func TestLimited(t *testing.T) {
	const limit = 1000
	for _, test := range []struct {
		name              string
		written, rows, of int64
		tooLarge          bool
	}{
		{"will fit", 400, 50, 100, false},
		{"will just fit", 1000, 100, 100, false},
		{"a little more is expected", 540, 50, 100, false},
		{"a tenth more is expected", 551, 50, 100, true},
		{"a twentieth is known", 60, 5, 100, true},
		{"too few rows are known", 60, 4, 100, false},
		{"the total isn't known", 900, 50, -1, false},
		{"nothing is read", 10, 0, 10, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &progress{}
			p.total.Store(test.of)
			p.rows.Store(test.rows)
			var out bytes.Buffer
			l := &limited{out: &out, limit: limit, progress: p, written: test.written}
			n, err := l.Write([]byte("more"))
			if test.tooLarge {
				if export.CodeOf(err) != export.FileTooLarge || n != 0 || out.Len() != 0 {
					t.Errorf("wrote %d with error %v, want %s", n, err, export.FileTooLarge)
				}
				return
			}
			if err != nil || n != 4 || out.String() != "more" || l.written != test.written+4 {
				t.Errorf("wrote %q and %d with error %v", out.String(), n, err)
			}
		})
	}
}

func TestShortly(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"10m": 10 * time.Minute, "1h": time.Hour, "1h30m": 90 * time.Minute, "10s": 10 * time.Second, "1h0m1s": time.Hour + time.Second, "250ms": 250 * time.Millisecond, "1m10s": 70 * time.Second,
	} {
		if got := shortly(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
