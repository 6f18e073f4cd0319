package bench

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"
)

// Markdown is the result as tables. It names neither the machine nor its paths.
func (r CrowdResult) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %s/%s, %d cores. %d rounds, exports of %d rows. %d requests at once in each: %d × 202, %d × 429 in all; no other answer, and every accepted export completed.\n\n",
		r.When.UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), r.Rounds, r.Rows,
		crowdCreates, r.Answers[http.StatusAccepted], r.Answers[http.StatusTooManyRequests])
	b.WriteString("| exports of | exports | wait in s: median | 90 % under | longest |\n|---|---|---|---|---|\n")
	for _, line := range []struct {
		name  string
		waits []time.Duration
	}{
		{fmt.Sprintf("%d quiet owners alone", quietOwners), r.Alone},
		{fmt.Sprintf("the quiet owners, beside %d noisy ones", noisyOwners), r.Quiet},
		{"the noisy owners", r.Noisy},
	} {
		fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f | %.1f |\n", line.name, len(line.waits),
			Percentile(line.waits, 50).Seconds(), Percentile(line.waits, 90).Seconds(), Percentile(line.waits, 100).Seconds())
	}
	word := "met"
	if !r.Fair() {
		word = "**missed**"
	}
	fmt.Fprintf(&b, "\n| ratio | value | target |\n|---|---|---|\n| quiet owners' median wait beside noisy ones, to that alone | %.2f | at most %.0f: %s |\n", r.Ratio(), waitTarget, word)
	fmt.Fprintf(&b, "| the same, if the queue went by arrival only | %.2f | none |\n", float64(len(r.Quiet)+len(r.Noisy))/float64(max(len(r.Quiet), 1)))
	b.WriteString("\nTimes in ms: median / p99.\n\n")
	b.WriteString("| request | at once | warm requests | function's own time | target, its p99 | waiting for the emulator | calls | function in all | caller |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	r.Create.write(&b)
	return b.String()
}
