package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"csvexport/infra/internal/invariants"
	"csvexport/infra/internal/wire"
)

const (
	pollEvery  = 100 * time.Millisecond
	reachTime  = time.Minute      // until an export comes to a given moment
	endTime    = 3 * time.Minute  // until an export is done
	settleTime = 75 * time.Second // until what is left of an export that is done is removed: a lease, a minute of the schedule at most
)

// trial is one run of a point. Its methods end the point when something isn't
// as it must be.
type trial struct {
	*Suite

	ctx     context.Context //nolint:containedctx // a trial is a scope, as testing.T is
	cleanup []func()
	exports []string
	trace   string // of the trial's requests: 32 hex digits
	token   string // of the trial's own owner

	mu       sync.Mutex
	problems []string
	struck   time.Time                     // zero until the fault has
	attempts int                           // the most of an export
	done     time.Time                     // when the last export was
	content  map[string]invariants.Content // by export
	endings  map[string]string             // the statuses of exports that are done; not of all
}

// ended is what a trial panics with.
type ended struct{}

// try runs a point, and looks at what it leaves.
func (s *Suite) try(ctx context.Context, within time.Duration, run func(t *trial)) outcome {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	t := &trial{Suite: s, ctx: ctx, trace: strings.ReplaceAll(uuid.NewString(), "-", ""), content: map[string]invariants.Content{}, endings: map[string]string{}}
	func() {
		defer func() {
			for i := len(t.cleanup) - 1; i >= 0; i-- {
				t.cleanup[i]()
			}
			if r := recover(); r != nil && r != (ended{}) {
				panic(r)
			}
		}()
		var err error
		t.token, err = s.Token(t.trace)
		t.must(err)
		run(t)
		t.check()
	}()
	if len(t.problems) == 0 && t.struck.IsZero() {
		t.problems = append(t.problems, "the fault did not strike")
	}
	return outcome{problems: t.problems, attempts: t.attempts, recovered: max(t.done.Sub(t.struck), 0)}
}

func (t *trial) errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems = append(t.problems, fmt.Sprintf(format, args...))
}

func (t *trial) fatalf(format string, args ...any) {
	t.errorf(format, args...)
	panic(ended{})
}

func (t *trial) must(err error) {
	if err != nil {
		t.fatalf("%v", err)
	}
}

// strike notes that the fault has struck.
func (t *trial) strike() { t.struckAt(time.Now()) }

func (t *trial) struckAt(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.struck.IsZero() {
		t.struck = at
	}
}

// after has f called at the trial's end.
func (t *trial) after(f func()) { t.cleanup = append(t.cleanup, f) }

// check looks at the invariants of the trial's exports, within the time that
// the sweep has for what a worker left.
func (t *trial) check() { t.checkWithin(settleTime) }

func (t *trial) checkWithin(within time.Duration) {
	found, err := invariants.Check{
		State: t.stack.State, Exports: t.exports,
		Content: func(e invariants.Export) (invariants.Content, bool) {
			c, ok := t.content[e.ID]
			return c, ok
		},
	}.Settled(t.ctx, within)
	t.must(err)
	for _, violation := range found {
		t.errorf("%s", violation)
	}
	for _, id := range t.exports {
		t.checkHeard(id)
	}
}

// status is an export as a caller sees it.
type status struct {
	ExportID  string `json:"exportId"`
	Status    string `json:"status"`
	Phase     string `json:"phase"`
	Done      bool   `json:"done"`
	Attempts  int    `json:"attempts"`
	Error     string `json:"error"`
	ErrorCode string `json:"errorCode"`
	Progress  struct {
		ProcessedRows int64 `json:"processedRows"`
	} `json:"progress"`
}

// send sends a request of the trial's own owner to the service.
func (t *trial) send(method, path, body string) (int, []byte) {
	code, text, err := t.request(t.token, method, path, body)
	t.must(err)
	return code, text
}

// request sends a request of an owner.
func (t *trial) request(token, method, path, body string, headers ...string) (code int, text []byte, err error) {
	req, err := http.NewRequestWithContext(t.ctx, method, t.stack.State.BaseURL+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Traceparent", "00-"+t.trace+"-00f067aa0ba902b7-01")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, bytes.TrimSpace(text), err
}

// create requests an export of a table in the shape of users. Its file must
// hold what the table holds now.
func (t *trial) create(table string, more ...string) string {
	content, err := t.remember(t.ctx, table)
	t.must(err)
	code, text := t.send(http.MethodPost, "/exports/csv", `{`+strings.Join(append([]string{`"dataset":"` + table + `"`}, more...), ",")+`}`)
	if code != http.StatusAccepted {
		t.fatalf("create answers %d: %s", code, text)
	}
	var s status
	t.must(json.Unmarshal(text, &s))
	t.exports = append(t.exports, s.ExportID)
	t.content[s.ExportID] = content
	return s.ExportID
}

func (t *trial) status(id string) status {
	code, text := t.send(http.MethodGet, "/exports/"+id+"/status", "")
	if code != http.StatusOK {
		t.fatalf("status answers %d: %s", code, text)
	}
	var s status
	t.must(json.Unmarshal(text, &s))
	return s
}

// wait waits until the condition holds.
func (t *trial) wait(what string, within time.Duration, condition func() bool) {
	for deadline := time.Now().Add(within); !condition(); {
		if time.Now().After(deadline) || t.ctx.Err() != nil {
			t.fatalf("waited in vain until %s", what)
		}
		time.Sleep(pollEvery)
	}
}

// end waits until the export is done, and says how it must be then.
func (t *trial) end(id, want string, attempts int) status {
	var s status
	t.wait("the export is done", endTime, func() bool { s = t.status(id); return s.Done })
	t.attempts, t.done, t.endings[id] = max(t.attempts, s.Attempts), time.Now(), s.Status
	if s.Status != want || attempts > 0 && s.Attempts != attempts {
		t.errorf("the export is %s (%s, %s) after %d attempts, want %s after %d", s.Status, s.ErrorCode, s.Error, s.Attempts, want, attempts)
	}
	return s
}

// cancel deletes an export.
func (t *trial) cancel(id string) {
	if code, text := t.send(http.MethodDelete, "/exports/"+id, ""); code != http.StatusNoContent {
		t.fatalf("delete answers %d: %s", code, text)
	}
}

// rule adds a rule for calls about an export, or for the trial's own trace
// while there is none.
func (t *trial) rule(about string, match func(wire.Call) bool, do wire.Action, times int) *wire.Rule {
	r := t.wire.Add(&wire.Rule{Times: times, Do: do, Match: func(c wire.Call) bool { return c.About(about) && match(c) }})
	t.after(func() { t.wire.Remove(r) })
	return r
}

// gate stops a call of run-export about an export that matches.
func (t *trial) gate(id string, g *wire.Gate, match func(wire.Call) bool) *wire.Gate {
	return t.gateOf(worker, id, g, match)
}

// gateOf stops a call of a function.
func (t *trial) gateOf(function, id string, g *wire.Gate, match func(wire.Call) bool) *wire.Gate {
	t.rule(id, from(function, match), g.Do, 1)
	t.after(g.Open)
	return g
}

// arrive waits until a call stands at the gate.
func (t *trial) arrive(g *wire.Gate) wire.Call {
	select {
	case c := <-g.Arrived():
		return c
	case <-time.After(reachTime):
		t.fatalf("no call came to the gate")
	case <-t.ctx.Done():
		t.fatalf("interrupted")
	}
	return wire.Call{}
}

// fired fails the trial if a rule wasn't applied so often.
func (t *trial) fired(r *wire.Rule, atLeast int) {
	calls := r.Fired()
	if len(calls) < atLeast {
		t.fatalf("the fault struck %d times, want %d", len(calls), atLeast)
	}
	t.struckAt(calls[0].At)
}

// query asks the database, as its administrator.
func (t *trial) query(sql string) string {
	text, err := t.stack.State.DB().Value(t.ctx, sql)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.fatalf("%s: %v", sql, err)
	}
	return text
}

// sessions counts an export's sessions in the database, in the given state.
func (t *trial) sessions(id, state string) int {
	n := 0
	_, err := fmt.Sscan(t.query("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'csvexport "+id+"/%' AND state LIKE '"+state+"'"), &n)
	t.must(err)
	return n
}
