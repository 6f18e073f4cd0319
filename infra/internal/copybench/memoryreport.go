package copybench

import (
	"fmt"
	"strings"
	"time"
)

const (
	memoryTarget = 64.0 // MB
	spreadTarget = 1.10 // largest peak to smallest, of one width of rows
	firstTarget  = 100 * time.Millisecond
)

// Markdown is the result as tables. It names neither the machine nor its paths.
func (m Memory) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Each export in a fresh environment of run-export.\n\n", machine(m.When, m.Postgres))
	b.WriteString("| table | rows | file, MB | seconds | peak memory, MB | target |\n|---|---|---|---|---|---|\n")
	for _, list := range []struct {
		table   string
		exports []Export
	}{{"`users`, about 90 bytes a row", m.Narrow}, {"rows of 20 KB", m.Wide}} {
		for _, e := range list.exports {
			fmt.Fprintf(&b, "| %s | %d | %.0f | %.1f | **%.1f** | at most %.0f: %s |\n", list.table, e.Rows, float64(e.Bytes)/1e6, e.Seconds, e.PeakMB,
				memoryTarget, verdict(e.PeakMB <= memoryTarget))
		}
	}
	b.WriteString("\n| what | value | target |\n|---|---|---|\n")
	for _, list := range []struct {
		table   string
		exports []Export
	}{{"`users`", m.Narrow}, {"rows of 20 KB", m.Wide}} {
		s := spread(list.exports)
		fmt.Fprintf(&b, "| largest to smallest peak, %s | %.2f | at most %.2f: %s |\n", list.table, s, spreadTarget, verdict(s <= spreadTarget))
	}
	fmt.Fprintf(&b, "| from the claim to the first `COPY`, %d rows | %s | at most %d ms: %s |\n", m.largest(), milliseconds(m.First.Rows),
		firstTarget.Milliseconds(), verdict(m.First.Rows > 0 && m.First.Rows <= firstTarget))
	fmt.Fprintf(&b, "| from the claim to a status with `totalRows`, %d rows | %s | none |\n", m.largest(), milliseconds(m.First.Total))
	rows, peak := int64(0), 0.0
	for _, e := range m.Together {
		rows += e.Rows
		peak = max(peak, e.PeakMB)
	}
	ratio := float64(rows) / m.Seconds / (float64(m.Alone.Rows) / m.Alone.Seconds)
	fmt.Fprintf(&b, "| rows/s of %d exports of %d rows at once, to one's alone | %.2f (%s, %s) | at least 1: %s |\n", len(m.Together), m.Alone.Rows, ratio,
		thousands(float64(rows)/m.Seconds), thousands(float64(m.Alone.Rows)/m.Alone.Seconds), verdict(ratio >= 1))
	fmt.Fprintf(&b, "| the largest peak of those at once, MB | %.1f | none |\n", peak)
	return b.String()
}

func (m Memory) largest() (rows int64) {
	for _, e := range m.Narrow {
		rows = max(rows, e.Rows)
	}
	return rows
}

// spread is the largest peak divided by the smallest.
func spread(exports []Export) float64 {
	least, most := exports[0].PeakMB, exports[0].PeakMB
	for _, e := range exports {
		least, most = min(least, e.PeakMB), max(most, e.PeakMB)
	}
	return most / least
}

func milliseconds(d time.Duration) string {
	if d == 0 {
		return "not seen"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
