package statemodel

import (
	"context"
	"slices"
	"strings"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/sweeper"
)

// What must hold at every moment, whoever did what before.

// state is what is looked at of an export's items.
type state struct {
	status, phase, key string
	attempt, fence     int64
}

// moves are the only ones of a status (docs/design.md, "Transitions").
var moves = map[string][]string{
	"processing": {"completed", "failed", "cancelled"},
	"completed":  {"expired", "deleted"},
}

func idOf(item record) string { return strings.TrimPrefix(text(item["pk"]), "export#") }

func text(v value) string {
	s, _ := v["S"].(string)
	return s
}

func (w *world) state(id string) state {
	items := w.services.table.items
	job, run := items["export#"+id+" job"], items["export#"+id+" run"]
	s := state{status: text(job["status"]), phase: text(job["phase"])}
	s.attempt, _ = number(job["attempt"])
	s.fence, _ = number(run["fence"])
	if result, ok := job["result"]["M"].(map[string]any); ok {
		if key, ok := result["key"].(map[string]any); ok {
			s.key, _ = key["S"].(string)
		}
	}
	return s
}

// look compares every export with what it was, and with what else there is.
func (w *world) look() {
	w.services.mu.Lock()
	defer w.services.mu.Unlock()
	processing := int64(0)
	for _, id := range w.exports {
		was, now := w.seen[id], w.state(id)
		w.seen[id] = now
		if now.status == "processing" {
			processing++
		}
		if was.status != "" && now.status != was.status && !slices.Contains(moves[was.status], now.status) {
			w.fail("export %s went from %s to %s", id, was.status, now.status)
		}
		if now.attempt < was.attempt || now.fence < was.fence {
			w.fail("export %s went back from %+v to %+v", id, was, now)
		}
		if w.isCancelled(id) && now.status != "cancelled" {
			w.fail("export %s was cancelled and is %s", id, now.status)
		}
		if now.status == "completed" {
			if o, there := w.services.objects[now.key]; !there || o.size != len(content) || o.token != exportToken {
				w.fail("export %s is completed and its object %s is %+v (there: %v)", id, now.key, o, there)
			}
		}
	}
	w.lookAtNotices()
	if active, _ := number(w.services.table.items["owner#"+owner+" quota"]["active"]); active != processing {
		w.fail("%d exports aren't done, the quota says %d", processing, active)
	}
}

// lookAtNotices fails if somebody must still be told of an export, and never
// will be: whoever wasn't told has a delivery that is open. It also fails if
// somebody was told what isn't so.
func (w *world) lookAtNotices() {
	for _, id := range w.exports {
		status := w.seen[id].status
		if status == "expired" || status == "deleted" {
			status = "completed"
		}
		notice, there := w.services.table.items["export#"+id+" notice"]
		deliveries, begun := notice["deliveries"]["M"].(map[string]any)
		if status == "processing" && there {
			w.fail("export %s is processing and has a notice", id)
		}
		if _, due := notice["dueAt"]; there && !due {
			w.fail("no sweep will ever look at the notice of %s", id)
		}
		for short, name := range targets {
			told := w.services.told[short+" "+id]
			if told != "" && told != id+"-"+status {
				w.fail("%s was told %s of an export that is %s", short, told, status)
			}
			if _, open := deliveries[name]; status != "processing" && told == "" && (!there || begun && !open) {
				w.fail("export %s is %s, and %s will never be told", id, status, short)
			}
		}
	}
}

// notices counts those who may still have to be told.
func (w *world) notices() (n int) {
	w.services.mu.Lock()
	defer w.services.mu.Unlock()
	for at := range w.services.table.items {
		if strings.HasSuffix(at, " notice") {
			n++
		}
	}
	return n
}

// tellAll has notify do what the messages say that have arrived.
func (w *world) tellAll() {
	var later []message
	now := w.services.notices
	w.services.notices = nil
	for _, m := range now {
		if m.at.After(time.Now()) {
			later = append(later, m)
			continue
		}
		w.at("notify", func(ctx context.Context, a *actor) { w.tell(a, m.id)(ctx) })
	}
	w.services.notices = append(later, w.services.notices...)
}

// sweepAll sweeps once.
func (w *world) sweepAll() {
	w.at("sweep", func(ctx context.Context, a *actor) {
		s := &sweeper.Sweeper{Jobs: a.jobs, Queue: a.queue, Buckets: a.bucket, Publisher: a.publish, Worker: a.name}
		if err := s.Sweep(ctx); err != nil {
			w.fail("sweep: %v", err)
		}
	})
}

func (w *world) isCancelled(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cancelled[id]
}

// end has everybody crash, and lets sweeps and honest workers do their work:
// then every export must be done, and nothing else be left.
func (w *world) end() {
	for _, a := range w.working() {
		w.crash(a)
	}
	// Minute by minute until all are done, then until no request of a worker can be under way any more.
	for minute := 0; minute < 40; minute++ {
		if minute > 0 && !slices.ContainsFunc(w.exports, func(id string) bool { return w.seen[id].status == "processing" }) {
			minute = max(minute, 38)
			time.Sleep(25 * time.Minute)
		}
		time.Sleep(time.Minute)
		sent := len(w.services.sent)
		w.sweepAll()
		w.tellAll()
		for _, id := range w.services.sent[sent:] {
			w.at("worker", func(ctx context.Context, a *actor) { w.work(a, id)(ctx) })
		}
		w.look()
	}
	// Until a receiver that was out of reach has its next attempt.
	for wait := time.Minute; w.notices() > 0 && wait < 30*time.Hour; wait += wait / 2 {
		time.Sleep(wait)
		w.sweepAll()
		w.tellAll()
		w.look()
	}
	for _, id := range w.exports {
		for short := range targets {
			if w.services.told[short+" "+id] == "" {
				w.fail("%s was never told of export %s", short, id)
			}
		}
	}
	if n := w.notices(); n > 0 {
		w.fail("%d notices are left", n)
	}
	for _, id := range w.exports {
		if s := w.seen[id]; s.status == "processing" {
			w.fail("export %s is lost: %+v", id, s)
		}
	}
	for key := range w.services.objects {
		if !slices.ContainsFunc(w.exports, func(id string) bool {
			return w.seen[id].key == key && w.seen[id].status == string(export.Completed)
		}) {
			w.fail("object %s is left over", key)
		}
	}
}
