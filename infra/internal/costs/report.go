package costs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Result is what was measured, for the tables.
type Result struct {
	When     time.Time
	Small    Run
	Large    Run
	Idle     Idle
	Standing Standing
}

// sizes are the exports whose costs are told.
var sizes = []int64{100_000, 10_000_000, 1_000_000_000}

// Check compares the rule by which exports are computed with what was measured.
func (r Result) Check() error { return check(r.Small, r.Large) }

// Markdown are the tables of docs/deploy.md.
func (r Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Computed %s from a run on the local stack, with the price list of US East (N. Virginia) in the [last table](#the-price-list), in US dollars, without free tiers.\n\n", r.When.UTC().Format(time.DateOnly))
	r.exports(&b)
	r.idle(&b)
	r.measured(&b)
	r.prices(&b)
	return b.String()
}

func (r Result) exports(b *strings.Builder) {
	b.WriteString("### An export\n\n| |")
	var estimates []estimate
	var bills [][]line
	for _, rows := range sizes {
		e := estimateOf(rows, r.Small, r.Large)
		estimates, bills = append(estimates, e), append(bills, e.export(r.Small.MemoryMB))
		fmt.Fprintf(b, " %s rows | $ |", count(float64(rows)))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", 2*len(sizes)) + "\n")
	for i := range bills[0] {
		fmt.Fprintf(b, "| %s |", bills[0][i].what)
		for _, lines := range bills {
			fmt.Fprintf(b, " %s | %s |", quantity(lines[i]), dollars(lines[i].dollars()))
		}
		b.WriteString("\n")
	}
	b.WriteString("| **in all** |")
	for _, lines := range bills {
		fmt.Fprintf(b, " | **%s** |", dollars(total(lines)))
	}
	b.WriteString("\n| downloaded once over the internet; within the region it is free |")
	for _, e := range estimates {
		fmt.Fprintf(b, " %s | %s |", quantity(e.transfer()), dollars(e.transfer().dollars()))
	}
	b.WriteString("\n| seconds of `run-export`; exports that it takes |")
	for _, e := range estimates {
		fmt.Fprintf(b, " %s; %d | |", count(e.seconds), e.pieces)
	}
	b.WriteString("\n\n")
}

func (r Result) idle(b *strings.Builder) {
	lines := r.Idle.idle(r.Standing)
	b.WriteString("### A month without exports\n\n| | units | $ |\n|---|---|---|\n")
	for _, l := range lines {
		if l.units > 0 {
			fmt.Fprintf(b, "| %s | %s | %s |\n", l.what, quantity(l), dollars(l.dollars()))
		}
	}
	fmt.Fprintf(b, "| **in all** | | **%s** |\n", dollars(total(lines)))
	more := line{"", float64(r.Standing.Metrics - r.Idle.metrics), "", customMetric}
	fmt.Fprintf(b, "| in a month with exports, the other metrics, of which each counts in the hours when it is written | %s | at most %s |\n", quantity(more), dollars(more.dollars()))
	for _, bill := range network() {
		for _, l := range bill {
			fmt.Fprintf(b, "| %s | %s | %s |\n", l.what, quantity(l), dollars(l.dollars()))
		}
	}
	b.WriteString("\n")
}

// measured shows the run that all is computed from, and the rule beside it.
func (r Result) measured(b *strings.Builder) {
	small, large := r.Small.uses[runExport], r.Large.uses[runExport]
	rule := predict(r.Small, r.Large.Seconds, float64(r.Large.FileBytes))
	fmt.Fprintf(b, "### What was measured\n\n| of `run-export` | %s rows | %s rows | by the rule |\n|---|---|---|---|\n", count(float64(r.Small.Rows)), count(float64(r.Large.Rows)))
	row := func(what string, values ...float64) {
		fmt.Fprintf(b, "| %s |", what)
		for _, v := range values {
			fmt.Fprintf(b, " %s |", count(v))
		}
		b.WriteString(strings.Repeat(" |", 3-len(values)) + "\n")
	}
	row("seconds, as Lambda bills them", r.Small.Seconds, r.Large.Seconds)
	row("MB of the file", float64(r.Small.FileBytes)/1e6, float64(r.Large.FileBytes)/1e6)
	row("DynamoDB, write units", small.writes, large.writes, rule.writes)
	row("DynamoDB, read units", small.reads, large.reads, rule.reads)
	row("SQS, messages", float64(small.sends), float64(large.sends), float64(rule.sends))
	row("S3, PUT and the like", float64(small.puts), float64(large.puts), float64(rule.puts))
	row("S3, GET and the like", float64(small.gets), float64(large.gets), float64(rule.gets))
	b.WriteString("\n| of the others | ms on a whole core | DynamoDB, writes | reads | messages | bytes of logs |\n|---|---|---|---|---|---|\n")
	for _, f := range []struct {
		name string
		per  int // invocations
	}{{"create-export", 1}, {"get-export", r.Small.polls}, {"download-export", 1}, {"authorize", r.Small.polls + 2}, {"notify", 1}} {
		u, per := r.Small.uses[f.name], float64(f.per)
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", f.name, count(r.Small.milliseconds[f.name]), count(u.writes/per), count(u.reads/per), count(float64(u.sends)/per), count(float64(r.Small.logBytes[f.name])/per))
	}
	fmt.Fprintf(b, "| `sweep`, with nothing to do | %s | %s | %s | 0 | %s |\n\n", count(r.Idle.milliseconds), count(r.Idle.use.writes), count(r.Idle.use.reads), count(float64(r.Idle.logBytes)))
}

func (r Result) prices(b *strings.Builder) {
	b.WriteString("### The price list\n\n| price, US East (N. Virginia) | $ | seen |\n|---|---|---|\n")
	for _, p := range allPrices {
		b.WriteString(p.row())
	}
}

// row is the price's line of the table.
func (p price) row() string {
	per := p.unit
	if p.per > 1 {
		per = count(p.per) + " " + p.unit
	}
	return fmt.Sprintf("| %s | %s per %s | %s |\n", p.name, strconv.FormatFloat(p.dollars, 'f', -1, 64), per, p.seen)
}

func quantity(l line) string { return strings.TrimSpace(count(l.units) + " " + l.unit) }

// dollars has two significant digits below a dollar, and cents above.
func dollars(d float64) string {
	switch {
	case d == 0:
		return "0"
	case d >= 1:
		return fmt.Sprintf("%.2f", d)
	default:
		return fmt.Sprintf("%.*f", 1-int(math.Floor(math.Log10(d))), d)
	}
}

// count has three significant digits below a thousand, and commas above.
func count(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 1000:
		text := fmt.Sprintf("%.*f", max(0, 2-int(math.Floor(math.Log10(n)))), n)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text
	default:
		text := fmt.Sprintf("%.0f", n)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		return text
	}
}
