package faults

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/infra/internal/wire"
)

// workerFaults are of workers that die, stop, or have a wrong clock.
func workerFaults() []fault {
	return []fault{
		{1, "worker killed", []point{
			{name: "in the middle of a COPY", run: killedInCopy},
			{name: "in the middle of an upload", run: func(t *trial) { killed(t, wire.Before(), uploading, 2) }},
			{name: "just before Complete", run: func(t *trial) { killed(t, wire.Before(), completing, 2) }},
			{name: "with Complete on its way", run: killedOnTheWay},
			{name: "just after Complete", run: func(t *trial) { killed(t, wire.After(), completing, 1) }},
			{name: "as a file of a split export appears", run: func(t *trial) { killedInSplit(t, wire.Before(), "/00002.csv.gz", 2) }},
			{name: "just before the manifest appears", run: func(t *trial) { killedInSplit(t, wire.Before(), ".json", 2) }},
			{name: "just after the manifest appeared", run: func(t *trial) { killedInSplit(t, wire.After(), ".json", 1) }},
		}},
		{7, "lease runs out under a living worker", []point{
			{name: "paused in an upload", run: func(t *trial) { paused(t, uploading) }},
			{name: "paused in Complete", run: func(t *trial) { paused(t, completing) }},
			{name: "paused in Complete, which arrives during the repair", run: completesDuringRepair},
		}},
		{17, "clock of one worker is off", []point{
			{name: "5 minutes fast", run: func(t *trial) { skewed(t, 5*time.Minute, 1) }},
			{name: "5 minutes slow", run: func(t *trial) { skewed(t, -5*time.Minute, 2) }},
			{name: "5 minutes fast, beside a worker", run: stolen},
		}},
	}
}

// killed kills the worker that stands at the gate; the export must be completed
// by another one, after so many attempts. The call that the gate holds arrives
// when all is over.
func killed(t *trial, g *wire.Gate, moment func(wire.Call) bool, attempts int) {
	id := t.createGated(g, moment)
	t.kill(t.pid(t.arrive(g)))
	t.end(id, "completed", attempts)
	g.Open()
}

// killedOnTheWay kills a worker whose Complete is on its way: it arrives.
func killedOnTheWay(t *trial) {
	g := wire.Before()
	id := t.createGated(g, completing)
	t.kill(t.pid(t.arrive(g)))
	g.Open()
	t.end(id, "completed", 1)
}

// createGated requests an export whose worker stops at the gate.
func (t *trial) createGated(g *wire.Gate, moment func(wire.Call) bool) string {
	id := t.createHeld()
	t.gate(id, g, moment)
	t.deliver(id)
	return id
}

// killedInSplit kills the worker of an export of three files as the object
// whose key ends so is published.
func killedInSplit(t *trial, g *wire.Gate, end string, attempts int) {
	id := t.createHeldOf(table, `"maxRowsPerFile":250000`)
	t.gate(id, g, func(c wire.Call) bool {
		return (c.Operation == "PutObject" || c.Operation == "CompleteMultipartUpload") && strings.HasSuffix(c.Path, end)
	})
	t.deliver(id)
	t.kill(t.pid(t.arrive(g)))
	t.end(id, "completed", attempts)
	g.Open()
}

func killedInCopy(t *trial) {
	g := wire.Before()
	id := t.createGated(g, copying)
	call := t.arrive(g)
	if t.sessions(id, "%") == 0 { // the file's first part of three is full; what a query still has may all be on its way
		t.fatalf("no rows were being copied")
	}
	t.kill(t.pid(call))
	t.end(id, "completed", 2)
	g.Open()
}

// paused stops a worker until another one has completed the export, and lets it
// go on then: it must change nothing.
func paused(t *trial, moment func(wire.Call) bool) {
	g := wire.Before()
	id := t.createGated(g, moment)
	pid := t.pid(t.arrive(g))
	t.pause(pid)
	t.end(id, "completed", 2)
	before := t.status(id)
	t.resume(pid)
	g.Open()
	t.wait("the worker has noticed", reachTime, func() bool { return t.idle(pid) })
	if after := t.status(id); after != before {
		t.errorf("the late worker changed the export from %+v to %+v", before, after)
	}
}

// completesDuringRepair has the Complete of a stopped worker arrive when the
// sweep has looked for the file and is about to abort the upload: the file counts.
func completesDuringRepair(t *trial) {
	g := wire.Before()
	id := t.createGated(g, completing)
	call := t.arrive(g)
	pid := t.pid(call)
	abort := t.gateOf("sweep", id, wire.Before(), operation("AbortMultipartUpload"))
	t.pause(pid)
	t.arrive(abort)
	g.Open()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(call.Path, "/"), "/")
	t.wait("the file is there", reachTime, func() bool {
		_, err := t.stack.State.Endpoints.S3Client().HeadObject(t.ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		return err == nil
	})
	abort.Open()
	t.end(id, "completed", 1)
	t.resume(pid)
	t.wait("the worker has noticed", reachTime, func() bool { return t.idle(pid) })
}

// skewed gives the first worker of an export a wrong clock. One whose clock is
// slow writes leases that have run out, so that another takes over while it works.
func skewed(t *trial, by time.Duration, attempts int) {
	id := t.createHeld()
	g := t.gate(id, wire.Before(), uploading)
	first := 0
	rule := t.rule(id, func(c wire.Call) bool {
		pid, ok := t.stateCaller(c)
		if !ok {
			return false
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if first == 0 {
			first = pid
		}
		return pid == first
	}, wire.SkewClock(by), 0)
	t.deliver(id)
	t.arrive(g)
	t.fired(rule, 2) // the look, and the claim
	if attempts > 1 {
		t.wait("another worker has taken over", reachTime, func() bool { return t.status(id).Attempts == attempts })
	}
	g.Open()
	t.end(id, "completed", attempts)
}

// stateCaller is the worker's process that asks DynamoDB by a call. It is not ok
// for another call, and for one that the process has given up.
func (t *trial) stateCaller(c wire.Call) (pid int, ok bool) {
	if c.Service != wire.DynamoDB || c.Function != worker {
		return 0, false
	}
	pid, err := t.caller(t.ctx, c)
	return pid, err == nil
}

// stolen has a worker whose clock is fast find another one's lease run out: it
// takes over, and the other one changes nothing any more.
func stolen(t *trial) {
	g := wire.Before()
	id := t.createGated(g, uploading)
	first := t.pid(t.arrive(g))
	rule := t.rule(id, func(c wire.Call) bool {
		pid, ok := t.stateCaller(c)
		return ok && pid != first
	}, wire.SkewClock(5*time.Minute), 0)
	t.deliver(id)
	t.wait("another worker has taken over", reachTime, func() bool { return t.status(id).Attempts == 2 })
	t.fired(rule, 2)
	g.Open()
	t.end(id, "completed", 2)
}
