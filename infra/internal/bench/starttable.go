package bench

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// StartResult is what one run has measured.
type StartResult struct {
	When     time.Time
	Starts   []Start
	Binaries []Binary
}

// Markdown is the result as tables. It names neither the machine nor its paths.
func (r StartResult) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %s/%s, %d cores. Times in ms.\n\n",
		r.When.UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	b.WriteString("| what runs it | function | cold starts | init: median / longest | first answer: median / longest | warm | answer: median / p99 | status |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Starts {
		var inits, firsts []time.Duration
		for _, c := range s.Cold {
			inits, firsts = append(inits, c.InitDuration), append(firsts, c.Duration)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s / %s | %s / %s | %d | %s | %s |\n", s.Name, s.function, len(s.Cold),
			milliseconds(Percentile(inits, 50)), milliseconds(Percentile(inits, 100)),
			milliseconds(Percentile(firsts, 50)), milliseconds(Percentile(firsts, 100)), len(s.Warm), spread(s.Warm), cmp.Or(s.Answer, "none"))
	}
	b.WriteString("\n| function | program, MB |\n|---|---|\n")
	for _, p := range slices.SortedFunc(slices.Values(r.Binaries), func(a, b Binary) int { return strings.Compare(a.Function, b.Function) }) {
		fmt.Fprintf(&b, "| %s | %.1f |\n", p.Function, float64(p.Bytes)/1e6)
	}
	return b.String()
}
