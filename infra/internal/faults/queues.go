package faults

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"csvexport/infra/internal/wire"
)

// unknownID is of no export.
const unknownID = "01890a5d-ac96-774b-bcce-b302099a8057"

// queueFaults are of messages that are lost, doubled, late, or make no sense.
func queueFaults() []fault {
	return []fault{
		{5, "message lost, doubled, late", []point{
			{name: "lost", run: messageLost},
			{name: "twice at once", run: messageTwice},
			{name: "after completion", run: messageLate},
		}},
		{6, "send fails after put", []point{{name: "each time", run: sendFails}}},
		{16, "poison message", []point{
			{name: "in the queue", alone: true, run: func(t *trial) { poison(t, t.stack.State.QueueURL) }},
			{name: "in the queue of ends", alone: true, run: func(t *trial) { poison(t, t.stack.State.NotifyQueueURL) }},
			{name: "in the dead-letter queue", alone: true, run: func(t *trial) { poison(t, t.stack.State.DeadLetterQueueURL) }},
		}},
		{22, "dead letter, database away", []point{
			{name: "dead letter of a live export", run: deadLetterAlive},
			{name: "dead letter of a dead worker", run: deadLetterDead},
			{name: "database away", alone: true, run: databaseAway},
		}},
	}
}

// createHeld requests an export of users whose message is lost, so that nothing happens
// to it until deliver, or until the sweep sends another, a minute later.
func (t *trial) createHeld() string { return t.createHeldOf(table) }

func (t *trial) createHeldOf(name string, more ...string) string {
	lost := t.rule(t.trace, func(c wire.Call) bool { return c.Operation == "SendMessage" }, wire.Swallow, 1)
	id := t.create(name, more...)
	if len(lost.Fired()) != 1 {
		t.fatalf("the message was not held")
	}
	return id
}

// deliver sends a message for an export.
func (t *trial) deliver(id string) {
	body, err := json.Marshal(map[string]any{"v": 1, "exportId": id})
	t.must(err)
	t.message(t.stack.State.QueueURL, string(body))
}

func (t *trial) message(queue, body string) {
	_, err := t.stack.State.Endpoints.SQSClient().SendMessage(t.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body})
	t.must(err)
}

func messageLost(t *trial) {
	id := t.createHeld()
	t.strike()
	t.end(id, "completed", 1)
}

func messageTwice(t *trial) {
	id := t.createHeld()
	looks := t.rule(id, from(worker, operation("BatchGetItem")), wire.Pass, 0)
	t.deliver(id)
	t.deliver(id)
	t.end(id, "completed", 1)
	t.wait("both messages were looked at", reachTime, func() bool { return len(looks.Fired()) >= 2 })
	t.strike()
}

func messageLate(t *trial) {
	id := t.create(table)
	t.end(id, "completed", 1)
	before := t.status(id)
	looks := t.rule(id, from(worker, operation("BatchGetItem")), wire.Pass, 0)
	writes := t.rule(id, from(worker, every), wire.Pass, 0)
	t.deliver(id)
	t.wait("the message was looked at", reachTime, func() bool { return len(looks.Fired()) > 0 })
	t.strike()
	time.Sleep(time.Second) // nothing more is to come of it
	if n := len(writes.Fired()); n > 0 {
		t.errorf("a late message led to %d calls more", n)
	}
	if after := t.status(id); after != before {
		t.errorf("a late message changed the export from %+v to %+v", before, after)
	}
	t.end(id, "completed", 1)
}

func sendFails(t *trial) {
	rule := t.rule(t.trace, func(c wire.Call) bool { return c.Operation == "SendMessage" && c.Function == "create-export" },
		wire.Refuse(http.StatusInternalServerError, "InternalFailure"), 0)
	id := t.create(table) // 202 all the same
	t.fired(rule, 1)
	t.end(id, "completed", 1)
}

// poison sends what no worker can do anything with.
func poison(t *trial, queue string) {
	before := t.depth(queue)
	for _, body := range []string{"no JSON", `{"v":1}`, `{"v":99,"exportId":"` + unknownID + `"}`, `{"v":1,"exportId":"../../etc"}`, `{"v":1,"exportId":"` + unknownID + `"}`} {
		t.message(queue, body)
	}
	t.strike()
	t.wait("every message was acknowledged", reachTime, func() bool { return t.depth(queue) == before })
	id := t.create(table) // and the next one is served
	t.end(id, "completed", 1)
}

// depth is how many messages a queue has, visible or not.
func (t *trial) depth(queue string) string {
	out, err := t.stack.State.Endpoints.SQSClient().GetQueueAttributes(t.ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"},
	})
	t.must(err)
	return out.Attributes["ApproximateNumberOfMessages"] + "+" + out.Attributes["ApproximateNumberOfMessagesNotVisible"]
}

func deadLetterAlive(t *trial) {
	g := wire.Before()
	id := t.createGated(g, uploading)
	t.arrive(g)
	looks := t.rule(id, from("dead-letter", every), wire.Pass, 0)
	t.deadLetter(id)
	t.wait("the dead letter was looked at", reachTime, func() bool { return len(looks.Fired()) > 0 })
	t.strike()
	g.Open()
	t.end(id, "completed", 1)
}

func deadLetterDead(t *trial) {
	g := wire.Before()
	id := t.createGated(g, uploading)
	t.kill(t.pid(t.arrive(g)))
	g.Open()
	t.deadLetter(id)
	t.end(id, "completed", 2)
}

func (t *trial) deadLetter(id string) {
	t.message(t.stack.State.DeadLetterQueueURL, `{"v":1,"exportId":"`+id+`"}`)
}

// awayFor is how long the database is away: longer than five attempts took
// when each of them counted.
const awayFor = 150 * time.Second

func databaseAway(t *trial) {
	t.database.Stop()
	restore := func() {
		if !t.database.Enabled {
			t.must(t.database.Start())
		}
	}
	t.after(restore)
	ids := []string{t.create(table), t.create(table), t.create(table)}
	time.Sleep(awayFor)
	for _, id := range ids {
		if s := t.status(id); s.Done || s.Attempts < 3 {
			t.fatalf("with the database away the export is %+v", s)
		}
	}
	restore()
	t.strike()
	for _, id := range ids {
		t.end(id, "completed", 0)
	}
}
