package copybench

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// figures are a candidate's, as bench.json has them.
type figures struct {
	SecondsMedian float64   `json:"seconds_median"`
	Seconds       []float64 `json:"seconds"` // of all rounds
	CPU           float64   `json:"cpu_seconds"`
	Postgres      float64   `json:"postgres_cpu_seconds"`
	StandIns      float64   `json:"standins_cpu_seconds,omitempty"`
	PeakMB        float64   `json:"peak_rss_mb"`
	Rows          int64     `json:"rows"`
	RowsPerSecond float64   `json:"rows_per_second"`
}

// WriteJSON writes the result into a file. Figures of several rounds are
// medians, the memory is the most of any.
func (r Result) WriteJSON(path string) error {
	candidates := map[string]figures{}
	for _, c := range r.Candidates {
		f := figures{
			SecondsMedian: c.median(seconds), CPU: c.median(cpu), Postgres: c.median(postgres), StandIns: c.median(standIns),
			PeakMB: c.peakMB(), Rows: c.Rows, RowsPerSecond: c.rowsPerSecond(),
		}
		for _, u := range c.Runs {
			f.Seconds = append(f.Seconds, u.Seconds)
		}
		candidates[c.Name] = f
	}
	ratios := map[string]float64{}
	for _, ratio := range r.Ratios() {
		ratios[ratio.Name] = ratio.Value
	}
	text, err := json.MarshalIndent(map[string]any{
		"when": r.When.UTC().Format(time.RFC3339), "go": runtime.Version(), "postgres": r.Postgres, "cpus": runtime.NumCPU(),
		"rows": r.Rows, "rounds": r.Rounds, "candidates": candidates, "ratios": ratios,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Markdown is the result as tables. It names neither the machine nor its paths.
func (r Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %d rows of `users`, medians of %d rounds after a warm-up.\n\n", machine(r.When, r.Postgres), r.Rows, r.Rounds)
	b.WriteString("| candidate | what | rounds | seconds: median (all) | rows/s | CPU s | of Postgres | peak memory, MB |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range r.Candidates {
		var all []string
		for _, u := range c.Runs {
			all = append(all, fmt.Sprintf("%.2f", u.Seconds))
		}
		what := c.What
		if c.Rows != r.Rows {
			what += fmt.Sprintf(" (%d rows)", c.Rows)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %d | **%.2f** (%s) | %s | %.2f | %.2f | %s |\n", c.Name, what, len(c.Runs), c.median(seconds),
			strings.Join(all, ", "), thousands(c.rowsPerSecond()), c.median(cpu), c.median(postgres), megabytes(c.peakMB()))
	}
	b.WriteString("\n| ratio | value | target | what |\n|---|---|---|---|\n")
	for _, ratio := range r.Ratios() {
		fmt.Fprintf(&b, "| `%s` | %.2f | at least %.1f: %s | %s |\n", ratio.Name, ratio.Value, ratio.Target, verdict(ratio.Value >= ratio.Target), ratio.What)
	}
	fmt.Fprintf(&b, "\nThe stand-ins for S3, SQS and DynamoDB took %.2f CPU seconds of an export over HTTP.\n", r.find("export_http").median(standIns))
	return b.String()
}

func machine(when time.Time, postgres string) string {
	version, _, _ := strings.Cut(postgres, " ")
	return fmt.Sprintf("%s, %s, PostgreSQL %s, %s/%s, %d cores",
		when.UTC().Format(time.DateOnly), runtime.Version(), version, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

// thousands is a number of rows a second, to a thousand.
func thousands(v float64) string { return fmt.Sprintf("%.0f K", v/1000) }

// megabytes is a peak; the system may not tell it.
func megabytes(mb float64) string {
	if mb == 0 {
		return "not known here"
	}
	return fmt.Sprintf("%.0f", mb)
}
