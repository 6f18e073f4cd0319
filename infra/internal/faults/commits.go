package faults

import (
	"net/http"

	"csvexport/infra/internal/wire"
)

// commitFaults are of the moment in which a file appears.
func commitFaults() []fault {
	return []fault{
		{2, "Complete's answer lost", []point{
			{name: "once", run: func(t *trial) { completeAnswerLost(t, 1) }},
			{name: "each time", run: func(t *trial) { completeAnswerLost(t, 0) }},
		}},
		{3, "Complete never reached S3", []point{{name: "twice", run: completeLost}}},
		{4, "DynamoDB fails after Complete", []point{{name: "for the worker", run: completionNotWritten}}},
	}
}

func completeAnswerLost(t *trial, times int) {
	id := t.createHeld()
	rule := t.rule(id, from(worker, completing), wire.LoseAnswer, times)
	t.deliver(id)
	t.end(id, "completed", 1)
	t.fired(rule, 1)
}

func completeLost(t *trial) {
	id := t.createHeld()
	parts := t.rule(id, from(worker, operation("UploadPart")), wire.Pass, 0)
	rule := t.rule(id, from(worker, completing), wire.Drop, 2)
	t.deliver(id)
	t.end(id, "completed", 1)
	t.fired(rule, 2)
	numbers := map[string]bool{}
	for _, c := range parts.Fired() {
		if n := c.Query.Get("partNumber"); numbers[n] {
			t.errorf("part %s was sent again", n)
		} else {
			numbers[n] = true
		}
	}
}

func completionNotWritten(t *trial) {
	id := t.createHeld()
	rule := t.rule(id, from(worker, moves("completed")), wire.Refuse(http.StatusInternalServerError, "InternalServerError"), 0)
	t.deliver(id)
	t.end(id, "completed", 1) // by the sweep
	t.fired(rule, 1)
}
