package bench

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// Result is what one run of the benchmark has measured.
type Result struct {
	When   time.Time
	Rows   int64 // of the users table
	Lines  []Line
	Cold   []ColdStarts
	Memory Memory
}

// Markdown is the result as tables. It names neither the machine nor its paths.
func (r Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %s/%s, %d cores. Times in ms: median / p99.\n\n",
		r.When.UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	b.WriteString("| request | in flight | warm requests | function's own time | target, its p99 | waiting for the emulator | calls | function in all | caller |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, l := range r.Lines {
		l.write(&b)
	}
	b.WriteString("\n| function | cold start alone: init, first request | at once | init: median / longest | first request: median / longest |\n")
	b.WriteString("|---|---|---|---|---|\n")
	for _, c := range r.Cold {
		c.write(&b)
	}
	fmt.Fprintf(&b, "\n| run-export, %d rows | peak memory, MB of %d |\n|---|---|\n", r.Rows, r.Memory.LimitMB)
	fmt.Fprintf(&b, "| one export, fresh environment | %s |\n| %d exports at once, the largest | %s |\n",
		megabytes(r.Memory.AloneMB), r.Memory.Exports, megabytes(r.Memory.AtOnceMB))
	return b.String()
}

func (l Line) write(b *strings.Builder) {
	var own, waiting, total []time.Duration
	calls := 0
	for _, i := range l.Warm {
		own = append(own, i.Own())
		waiting = append(waiting, i.Waiting)
		total = append(total, i.Duration)
		calls += i.Calls
	}
	wait := "none"
	if calls > 0 {
		wait = spread(waiting)
	}
	fmt.Fprintf(b, "| %s | %d | %d | %s | %s | %s | %.1f | %s | %s |\n", l.Name, l.InFlight, len(l.Warm), spread(own),
		verdict(Percentile(own, 99), l.Target), wait, float64(calls)/float64(max(len(l.Warm), 1)), spread(total), spread(l.Client))
}

func (c ColdStarts) write(b *strings.Builder) {
	var inits, firsts []time.Duration
	for _, r := range c.AtOnce {
		inits = append(inits, r.InitDuration)
		firsts = append(firsts, r.Duration)
	}
	fmt.Fprintf(b, "| %s | %s, %s | %d | %s / %s | %s / %s |\n", c.Function, milliseconds(c.Alone.InitDuration), milliseconds(c.Alone.Duration),
		len(c.AtOnce), milliseconds(Percentile(inits, 50)), milliseconds(Percentile(inits, 100)),
		milliseconds(Percentile(firsts, 50)), milliseconds(Percentile(firsts, 100)))
}

func spread(values []time.Duration) string {
	return milliseconds(Percentile(values, 50)) + " / " + milliseconds(Percentile(values, 99))
}

func verdict(p99, target time.Duration) string {
	switch {
	case target == 0:
		return "none"
	case p99 < target:
		return fmt.Sprintf("under %d: met", target.Milliseconds())
	}
	return fmt.Sprintf("under %d: **missed**", target.Milliseconds())
}

func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.2f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// megabytes is a peak; the system may not tell it.
func megabytes(mb int) string {
	if mb == 0 {
		return "not known here"
	}
	return fmt.Sprint(mb)
}
