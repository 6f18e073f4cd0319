package faults

import (
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"csvexport/infra/internal/wire"
)

// throttledFor is how long DynamoDB refuses half of all calls.
const throttledFor = 30 * time.Second

// storageFaults are of S3, DynamoDB and the worker's own disk.
func storageFaults() []fault {
	return []fault{
		{11, "S3 part fails", []point{
			{name: "500", run: func(t *trial) { partFails(t, wire.Refuse(http.StatusInternalServerError, "InternalError"), 1) }},
			{name: "503 SlowDown", run: func(t *trial) { partFails(t, wire.Refuse(http.StatusServiceUnavailable, "SlowDown"), 2) }},
			{name: "hang", run: func(t *trial) { partFails(t, wire.Hang, 1) }},
			{name: "reset", run: func(t *trial) { partFails(t, wire.Drop, 1) }},
			{name: "answer lost", run: func(t *trial) { partFails(t, wire.LoseAnswer, 1) }},
			{name: "wrong ETag", run: func(t *trial) {
				partFails(t, wire.Change(func(a *wire.Answer) { a.Header.Set("ETag", `"00000000000000000000000000000000"`) }), 1)
			}},
		}},
		{12, "bucket missing or denied", []point{
			{name: "missing", run: func(t *trial) {
				bucketRefuses(t, http.StatusNotFound, "NoSuchBucket", "The bucket for the files doesn't exist.")
			}},
			{name: "denied", run: func(t *trial) {
				bucketRefuses(t, http.StatusForbidden, "AccessDenied", "The service may not write to the bucket for the files.")
			}},
		}},
		{13, "DynamoDB throttles half of all calls", []point{{name: "for 30 s", run: throttled}}},
		{18, "disk full", []point{{name: "no byte can be written to a file", run: diskFull}}},
	}
}

func partFails(t *trial, how wire.Action, times int) {
	id := t.createHeld()
	rule := t.rule(id, from(worker, part("1")), how, times)
	t.deliver(id)
	t.wait("the fault has struck", reachTime, func() bool { return len(rule.Fired()) == times })
	t.strike()
	t.end(id, "completed", 1)
}

func bucketRefuses(t *trial, status int, code, says string) {
	id := t.createHeld()
	rule := t.rule(id, from(worker, func(c wire.Call) bool { return c.Service == wire.S3 }), wire.Refuse(status, code), 0)
	t.deliver(id)
	s := t.end(id, "failed", 1)
	t.fired(rule, 1)
	if s.ErrorCode != "storage_rejected" || s.Error != says {
		t.errorf("the export failed by %s: %s", s.ErrorCode, s.Error)
	}
}

// throttled makes exports, one after the other, while DynamoDB is short of
// capacity. None is lost, and none starts over.
func throttled(t *trial) {
	until := time.Now().Add(throttledFor)
	for time.Now().Before(until) {
		id := t.createHeld()
		rule := t.rule(id, func(c wire.Call) bool {
			return c.Service == wire.DynamoDB && c.Function == worker && time.Now().Before(until) && rand.IntN(2) == 0
		}, wire.Refuse(http.StatusBadRequest, "ThrottlingException"), 0)
		t.deliver(id)
		t.end(id, "completed", 1)
		if len(rule.Fired()) > 0 {
			t.strike()
		}
	}
}

// diskFull keeps a worker from writing a single byte to any file, as a full
// disk would: by its limit of the size of files (setrlimit(2), RLIMIT_FSIZE).
func diskFull(t *trial) {
	g := wire.Before()
	id := t.createGated(g, operation("BatchGetItem"))
	pid := t.pid(t.arrive(g))
	var before unix.Rlimit
	t.must(unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, &before))
	var now unix.Rlimit
	t.must(unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &now))
	if now.Cur != 0 {
		t.fatalf("the worker may still write %d bytes", now.Cur)
	}
	t.strike()
	g.Open()
	t.end(id, "completed", 1)
}
