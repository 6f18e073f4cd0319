package eventsource_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"csvexport/infra/internal/template"
)

// A tenant that sent much, and first, doesn't keep another waiting.
func TestRun_Fair(t *testing.T) {
	q := newQueue(t, 30)
	gate := make(chan struct{})
	f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) { <-gate }}
	for i := range 12 {
		q.sendAs("noisy", fmt.Sprintf("noisy%d", i))
	}
	p := poll(t, q, f, template.EventSource{BatchSize: 1, MaximumConcurrency: 2}, 5*time.Second)
	eventually(t, "two at once", func() bool { return f.running.Load() == 2 })
	q.sendAs("quiet", "quiet0")
	q.sendAs("quiet", "quiet1")
	q.waitFor("0 visible, 14 in flight")
	for range 5 {
		gate <- struct{}{}
	}
	eventually(t, "seven calls", func() bool { return len(f.calls()) == 7 })
	// Ten of the noisy tenant's came before both of the quiet one's.
	if first := strings.Join(f.calls(), " "); !strings.Contains(first, "quiet0#1") || !strings.Contains(first, "quiet1#1") {
		t.Errorf("calls %s: a quiet tenant waits for a noisy one", first)
	}
	close(gate)
	q.waitFor("0 visible, 0 in flight")
	if err := p.now(); err != nil || p.problems() != "" || len(f.calls()) != 14 {
		t.Errorf("error %v, problems %q, calls %q", err, p.problems(), f.calls())
	}
}

// What is held when it ends is there for the next one at once, and nothing is
// held so long that two have it.
func TestRun_Held(t *testing.T) {
	t.Run("given back", func(t *testing.T) {
		q := newQueue(t, 30)
		gate := make(chan struct{})
		f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) { <-gate }}
		for i := range 12 {
			q.send(fmt.Sprint(i))
		}
		p := poll(t, q, f, template.EventSource{BatchSize: 1, MaximumConcurrency: 1}, 5*time.Second)
		q.waitFor("0 visible, 12 in flight")
		time.AfterFunc(2*time.Second, func() { close(gate) })
		if err := p.now(); err != nil || p.problems() != "" {
			t.Errorf("error %v, problems %q", err, p.problems())
		}
		q.waitFor("11 visible, 0 in flight")
	})
	t.Run("renewed", func(t *testing.T) {
		q := newQueue(t, 4)
		f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) { time.Sleep(2500 * time.Millisecond) }}
		q.send("a")
		q.send("b") // held for 2.5 s, then at work until 5 s: longer than 4 s
		p := poll(t, q, f, template.EventSource{BatchSize: 1, MaximumConcurrency: 1}, 5*time.Second)
		q.waitFor("0 visible, 0 in flight")
		if err, calls := p.now(), f.calls(); err != nil || p.problems() != "" || len(calls) != 2 {
			t.Errorf("error %v, problems %q, calls %q", err, p.problems(), calls)
		}
	})
	t.Run("too long", func(t *testing.T) {
		q := newQueue(t, 2)
		gate := make(chan struct{})
		f := &function{answer: func(int, events.SQSEvent, http.ResponseWriter) { <-gate }}
		q.send("a")
		p := poll(t, q, f, template.EventSource{BatchSize: 1, MaximumConcurrency: 1}, 10*time.Second)
		eventually(t, "at work", func() bool { return f.running.Load() == 1 })
		q.send("b")
		time.Sleep(5 * time.Second) // it comes twice more meanwhile
		close(gate)
		q.waitFor("0 visible, 0 in flight")
		if err := p.now(); err != nil {
			t.Error(err)
		}
		if all := strings.Join(f.calls(), " "); strings.Count(all, "b#") != 1 {
			t.Errorf("calls %s: want b once", all)
		}
	})
}
