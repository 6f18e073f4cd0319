package bench

import (
	"math"
	"slices"
	"time"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/recorder"
)

// Percentile is the nearest-rank percentile: the smallest value that p percent
// of all values, 0 < p <= 100, don't exceed. It is 0 without values.
func Percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// Invocation is one run of a warm function.
type Invocation struct {
	Duration time.Duration // from the event's hand-over to the answer, as Lambda counts it
	Waiting  time.Duration // part of it in which at least one call to the emulator was open
	Calls    int           // to the emulator
}

// Own is the function's own time.
func (i Invocation) Own() time.Duration { return i.Duration - i.Waiting }

// Attribute joins an invocation's report with the calls of its trace.
func Attribute(r lambda.Report, calls []recorder.Call) Invocation {
	return Invocation{Duration: r.Duration, Waiting: union(calls, r.Start, r.Start.Add(r.Duration)), Calls: len(calls)}
}

// warmOf are the invocations of environments that were there already, with
// their calls by trace id.
func warmOf(reports []lambda.Report, calls map[string][]recorder.Call) (warm []Invocation) {
	for _, r := range reports {
		if r.InitDuration == 0 {
			warm = append(warm, Attribute(r, calls[r.TraceID]))
		}
	}
	return warm
}

// union is how much of [from, to] the calls cover; calls at the same time count once.
func union(calls []recorder.Call, from, to time.Time) time.Duration {
	sorted := slices.SortedFunc(slices.Values(calls), func(a, b recorder.Call) int { return a.Begin.Compare(b.Begin) })
	var covered time.Duration
	for _, c := range sorted {
		begin, end := c.Begin, c.End
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if end.After(begin) {
			covered += end.Sub(begin)
			from = end
		}
	}
	return covered
}
