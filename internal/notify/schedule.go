package notify

import (
	"math/rand/v2"
	"time"
)

// delays are how long to wait before each attempt, counted from the one before:
// those of Standard Webhooks 1.0.0, "Deliverability and reliability". They end
// 75 hours and a half after the first.
var delays = []time.Duration{
	0,
	5 * time.Second,
	5 * time.Minute,
	30 * time.Minute,
	2 * time.Hour,
	5 * time.Hour,
	10 * time.Hour,
	14 * time.Hour,
	20 * time.Hour,
	24 * time.Hour,
}

// jitter is the part of a delay that is added to it at random, at most: so that
// what failed together doesn't come again together.
const jitter = 0.1

// nextAttempt is when to try again after so many attempts, the last of which
// failed now; not before the receiver wants it. It is not ok after the last.
func nextAttempt(attempts int, now time.Time, retryAfter time.Duration) (next time.Time, ok bool) {
	if attempts >= len(delays) {
		return time.Time{}, false
	}
	wait := delays[attempts]
	wait += time.Duration(jitter * rand.Float64() * float64(wait)) //nolint:gosec // spreading load needs no secrecy
	return now.Add(max(wait, retryAfter)), true
}
