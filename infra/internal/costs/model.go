package costs

import (
	"fmt"
	"math"
	"time"
)

const (
	// exportTime is what one export has (internal/runner): a larger one must be
	// split by its filters.
	exportTime = 14 * time.Minute
	// pollEvery is how often callers are taken to ask for the status.
	pollEvery = 5 * time.Second
	// fileTTL is template.yaml's default of FileTtl.
	fileTTL = 7 * 24 * time.Hour
)

// estimate is what an export of so many rows takes.
type estimate struct {
	rows      int64
	pieces    int     // exports that it takes, each within exportTime
	seconds   float64 // of run-export, in all
	bytes     float64 // of the files
	polls     float64
	reads     float64
	writes    float64
	sends     float64
	puts      float64
	gets      float64
	logBytes  float64
	gbSeconds float64 // of the other functions
	others    float64 // their invocations, without run-export
}

// parts is in how many parts a file goes to S3 (internal/bucket): the first
// thousand have 8 MiB, and each hundred behind them 1 MiB more.
func parts(bytes float64) (n float64) {
	const mib = 1 << 20
	for size, count := 8.0, 1000.0; bytes > 0; size, count = size+1, 100 {
		fit := math.Min(math.Ceil(bytes/(size*mib)), count)
		n, bytes = n+fit, bytes-fit*size*mib
	}
	return max(n, 1)
}

// The rule. What run-export asks for doesn't depend on the rows, but for
//
//   - a write of the run's item each second (the beat),
//   - a request for each part, and two more for a file of several parts.
//
// Everything else is as in the small run, which has one part and no beat but
// those of its seconds.

// predict is what the rule says that run-export asks for.
func predict(small Run, seconds, bytes float64) use {
	u := small.uses[runExport]
	u.writes += math.Floor(seconds) - math.Floor(small.Seconds)
	u.puts += requestsOfParts(bytes) - requestsOfParts(float64(small.FileBytes))
	return u
}

func requestsOfParts(bytes float64) int {
	n := int(parts(bytes))
	if n == 1 {
		return 1
	}
	return n + 2 // beginning and completing the upload
}

const runExport = "run-export"

// check compares the rule with the large run. A beat or two, and a read more or
// less, are chance.
func check(small, large Run) error {
	want, got := predict(small, large.Seconds, float64(large.FileBytes)), large.uses[runExport]
	for _, c := range []struct {
		what      string
		want, got float64
	}{
		{"write units of DynamoDB", want.writes, got.writes},
		{"read units of DynamoDB", want.reads, got.reads},
		{"messages", float64(want.sends), float64(got.sends)},
		{"PUT requests of S3", float64(want.puts), float64(got.puts)},
		{"GET requests of S3", float64(want.gets), float64(got.gets)},
	} {
		if math.Abs(c.want-c.got) > max(2, 0.05*c.got) {
			return fmt.Errorf("an export of %d rows had %.1f %s, where the rule says %.1f: the rule is wrong", large.Rows, c.got, c.what, c.want)
		}
	}
	return nil
}

// estimateOf is what an export of so many rows takes, by the seconds and bytes
// a row of the large run.
func estimateOf(rows int64, small, large Run) estimate {
	e := estimate{rows: rows, seconds: small.Seconds, bytes: float64(small.FileBytes)}
	if rows != small.Rows {
		share := float64(rows) / float64(large.Rows)
		e.seconds, e.bytes = share*large.Seconds, share*float64(large.FileBytes)
	}
	e.pieces = int(max(1, math.Ceil(e.seconds/exportTime.Seconds())))
	n := float64(e.pieces)
	run := predict(small, e.seconds/n, e.bytes/n)
	polls := math.Ceil(e.seconds/n/pollEvery.Seconds()) + 1
	e.reads, e.writes, e.sends = run.reads*n, run.writes*n, float64(run.sends)*n
	e.puts, e.gets, e.logBytes = float64(run.puts)*n, float64(run.gets)*n, float64(small.logBytes[runExport])*n
	e.polls = polls * n
	times := map[string]float64{"create-export": n, "get-export": polls * n, "download-export": n, "authorize": (polls + 2) * n, "notify": n}
	for function, count := range times {
		per := 1.0 // invocations that the small run's figures are of
		switch function {
		case "get-export":
			per = float64(small.polls)
		case "authorize":
			per = float64(small.polls + 2)
		}
		u := small.uses[function]
		e.reads += u.reads / per * count
		e.writes += u.writes / per * count
		e.sends += float64(u.sends) / per * count
		e.puts += float64(u.puts) / per * count
		e.gets += float64(u.gets) / per * count
		e.logBytes += float64(small.logBytes[function]) / per * count
		e.gbSeconds += processorBound(small.milliseconds[function]) * count
		e.others += count
	}
	return e
}

// processorBound is what an invocation costs that takes so long on a whole
// core, in GB-seconds: with less memory it takes longer in proportion.
func processorBound(milliseconds float64) float64 { return milliseconds / 1000 * wholeCore / 1024 }

// wholeCore is the memory in MB that comes with one vCPU (Lambda Developer Guide, "Configuring memory").
const wholeCore = 1769
