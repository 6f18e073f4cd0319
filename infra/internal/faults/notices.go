package faults

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/wire"
)

// toldTime is until a webhook arrives whose first message was lost, or whose
// sender died: a minute until it is due, or its lease.
const toldTime = 2 * time.Minute

// noticeFaults are of those who tell that an export came to its end.
func noticeFaults() []fault {
	return []fault{{23, "an end isn't told at once", []point{
		{name: "message lost", run: endNotAnnounced},
		{name: "notify killed before it tells", run: func(t *trial) { tellerKilled(t, wire.After(), operation("UpdateItem"), 1) }},
		{name: "notify killed before it records", run: func(t *trial) { tellerKilled(t, wire.Before(), operation("DeleteItem"), 2) }},
		{name: "record lost", run: recordLost},
		{name: "cancel, message lost", run: cancelNotAnnounced},
		{name: "receiver down at first", run: receiverDown},
	}}}
}

// receiver is a webhook's, which keeps the ids that it is sent.
type receiver struct {
	mu  sync.Mutex
	ids []string
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ids...)
}

// receive registers a webhook of the trial's owner, whose nth answer has a
// status.
func (t *trial) receive(answer func(n int) int) *receiver {
	r := &receiver{}
	l, err := loopback.Listen(0)
	t.must(err)
	server := &http.Server{ReadHeaderTimeout: reachTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ids = append(r.ids, req.Header.Get("webhook-id"))
		w.WriteHeader(answer(len(r.ids)))
	})}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.after(func() { _ = server.Close() })
	code, text := t.send(http.MethodPost, "/webhooks", `{"url":"http://`+l.Addr().String()+`"}`)
	if code != http.StatusCreated {
		t.fatalf("register answers %d: %s", code, text)
	}
	var w struct {
		ID string `json:"id"`
	}
	t.must(json.Unmarshal(text, &w))
	t.after(func() { _, _, _ = t.request(t.token, http.MethodDelete, "/webhooks/"+w.ID, "") }) // the trial is over in any case
	return r
}

func well(int) int { return http.StatusNoContent }

// told waits until a receiver was told so many times, and of the same each time.
func (t *trial) told(r *receiver, event string, times int) {
	t.wait("the webhook arrives", toldTime, func() bool { return len(r.got()) >= times })
	t.done = time.Now()
	if got := r.got(); len(got) != times || strings.Join(got, " ") != strings.TrimSpace(strings.Repeat(event+" ", times)) {
		t.errorf("the webhook was told %v, want %s %d times", got, event, times)
	}
}

// announcing matches a function's message that an export came to its end.
func announcing(function string) func(wire.Call) bool {
	return from(function, func(c wire.Call) bool { return c.Operation == "SendMessage" && strings.Contains(c.Body, "NotifyQueue") })
}

func endNotAnnounced(t *trial) {
	r := t.receive(well)
	id := t.createHeld()
	lost := t.rule(id, announcing(worker), wire.Swallow, 0)
	t.deliver(id)
	t.end(id, "completed", 1)
	t.fired(lost, 1)
	t.told(r, id+"-completed", 1)
}

func cancelNotAnnounced(t *trial) {
	r := t.receive(well)
	id := t.createHeld()
	lost := t.rule(id, announcing("delete-export"), wire.Refuse(http.StatusInternalServerError, "InternalFailure"), 0)
	t.cancelled(id)
	t.fired(lost, 1)
	t.told(r, id+"-cancelled", 1)
}

// tellerKilled kills notify at a moment. The call that the gate holds arrives
// when all is over.
func tellerKilled(t *trial, g *wire.Gate, moment func(wire.Call) bool, times int) {
	r := t.receive(well)
	id := t.createHeld()
	t.gateOf("notify", id, g, moment)
	t.deliver(id)
	t.end(id, "completed", 1)
	t.kill(t.pid(t.arrive(g)))
	if n := len(r.got()); n != times-1 {
		t.errorf("before notify was killed the webhook was told %d times, want %d", n, times-1)
	}
	t.told(r, id+"-completed", times)
	g.Open()
}

// recordLost loses the request by which notify records what it told: the SDK
// sends it again, and nobody is told twice.
func recordLost(t *trial) {
	r := t.receive(well)
	id := t.createHeld()
	lost := t.rule(id, from("notify", operation("DeleteItem")), wire.LoseAnswer, 1)
	t.deliver(id)
	t.end(id, "completed", 1)
	t.wait("the record is lost", reachTime, func() bool { return len(lost.Fired()) > 0 })
	t.fired(lost, 1)
	t.told(r, id+"-completed", 1)
}

func receiverDown(t *trial) {
	r := t.receive(func(n int) int {
		if n == 1 {
			t.strike()
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	id := t.createHeld()
	t.deliver(id)
	t.end(id, "completed", 1)
	t.told(r, id+"-completed", 2)
}
