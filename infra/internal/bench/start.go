package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/stack"
	"csvexport/infra/internal/template"
)

// StartConfig says what to start, and how often.
type StartConfig struct {
	BaseURL  string // of the routes
	Deployed stack.Deployed
	Cold     int       // starts of each function, by each of its routes
	Warm     int       // further invocations
	Out      io.Writer // gets a line for each step
}

// Start is what came of one way to run a function.
type Start struct {
	Name   string          // of the route, or what else runs the function
	Answer string          // the HTTP status, if it has one
	Cold   []lambda.Report // each in a fresh environment, nothing else at work
	Warm   []time.Duration // as Lambda's duration: from the event's hand-over to the answer

	function string // logical ID
}

// Binary is a function's program, as built for Lambda.
type Binary struct {
	Function string
	Bytes    int64
}

// trigger is one way to run a function.
type trigger struct {
	name     string
	function string // logical ID
	prepare  func(context.Context) error
	fire     func(context.Context) (answer string, err error)
}

// starter makes exports for the requests that need some.
type starter struct {
	StartConfig
	client    *client
	done      string // an export that is completed
	next      string // one that nobody has run
	cancelled string // one that was cancelled; empty until it is needed
}

// Starts measures every route of the template, and what else runs a function
// there: so it needs no list of them. The stack must deliver no message, and
// there must be a table to export.
func Starts(ctx context.Context, cfg StartConfig) (starts []Start, binaries []Binary, err error) {
	s := &starter{StartConfig: cfg, client: newClient(cfg.BaseURL, "")}
	defer s.client.close()
	for _, f := range cfg.Deployed.Functions {
		info, err := os.Stat(f.Path)
		if err != nil {
			return nil, nil, err
		}
		binaries = append(binaries, Binary{f.LogicalID, info.Size()})
	}
	// The exports' function comes first: routes are asked about what it made.
	triggers := slices.Concat(s.queues(), s.routes(), s.schedules())
	for _, t := range append(triggers, s.others(triggers)...) {
		fmt.Fprintf(cfg.Out, "measuring %s\n", t.name)
		start, err := s.measure(ctx, t)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", t.name, err)
		}
		starts = append(starts, start)
	}
	return starts, binaries, nil
}

func (s *starter) measure(ctx context.Context, t trigger) (Start, error) {
	start := Start{Name: t.name, function: t.function}
	for i := range s.Cold + s.Warm {
		if t.prepare != nil {
			if err := t.prepare(ctx); err != nil {
				return Start{}, err
			}
		}
		cold := i < s.Cold
		if cold {
			if err := s.Deployed.Host.EndIdle(t.function); err != nil {
				return Start{}, err
			}
		}
		begin := time.Now()
		answer, err := t.fire(ctx)
		if err != nil {
			return Start{}, err
		}
		report, err := s.report(t.function, begin)
		if err != nil {
			return Start{}, err
		}
		if cold != (report.InitDuration > 0) {
			return Start{}, fmt.Errorf("invocation %d: want a cold start %v, took %v to start", i+1, cold, report.InitDuration)
		}
		if cold {
			start.Cold = append(start.Cold, report)
		} else {
			start.Warm = append(start.Warm, report.Duration)
		}
		start.Answer = answer
	}
	return start, nil
}

// report is that of the one invocation since a time.
func (s *starter) report(function string, since time.Time) (lambda.Report, error) {
	f, ok := s.Deployed.Function(function)
	if !ok {
		return lambda.Report{}, errors.New("no such function: " + function)
	}
	reports := slices.DeleteFunc(s.Deployed.Host.Reports(f.Name), func(r lambda.Report) bool { return r.Start.Before(since) })
	if len(reports) != 1 {
		return lambda.Report{}, fmt.Errorf("%d invocations of %s, want one", len(reports), function)
	}
	if r := reports[0]; r.Status != "success" {
		return lambda.Report{}, fmt.Errorf("%s %s; log: %s", r.Status, r.ErrorType, r.LogFile)
	}
	return reports[0], nil
}

// create makes the next export.
func (s *starter) create(ctx context.Context) (err error) {
	s.next, err = s.client.create(ctx)
	return err
}

// cancel makes an export that can be retried, unless there is one.
func (s *starter) cancel(ctx context.Context) error {
	if s.cancelled != "" {
		return nil
	}
	err := s.end(ctx)
	s.cancelled = s.next
	return err
}

// end makes an export and cancels it.
func (s *starter) end(ctx context.Context) error {
	if err := s.create(ctx); err != nil {
		return err
	}
	answer, err := s.request(ctx, template.Route{Method: http.MethodDelete, Path: "/exports/{id}"})
	if err == nil && answer != "204" {
		err = errors.New("DELETE answers " + answer)
	}
	return err
}

// queues are the functions behind a queue: each message names a new export. One
// in the dead-letter queue has it looked at, and not made; one in the queue of
// ends has it told of, that it was cancelled.
func (s *starter) queues() (list []trigger) {
	for _, source := range s.Deployed.EventSources {
		dead := strings.Contains(source.QueueARN, "DeadLetter")
		end := strings.Contains(source.QueueARN, "NotifyQueue")
		name, prepare := "a message (export of a small table)", s.create
		switch {
		case dead:
			name = "a dead letter (export that waits)"
		case end:
			name, prepare = "an end (cancelled export, told to the event bus)", s.end
		}
		list = append(list, trigger{
			name: name, function: source.Function, prepare: prepare,
			fire: func(ctx context.Context) (string, error) {
				body := `{"v":1,"exportId":"` + s.next + `","traceparent":""}`
				payload, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "1", Body: body, EventSourceARN: source.QueueARN}}})
				if err != nil {
					return "", err
				}
				if _, err := s.Deployed.Host.Invoke(ctx, source.Function, payload); err != nil {
					return "", err
				}
				if dead || end {
					return "", nil
				}
				s.done = s.next
				return s.ended(ctx)
			},
		})
	}
	return list
}

// ended makes sure that the last export is completed, which its invocation says nothing about.
func (s *starter) ended(ctx context.Context) (string, error) {
	state, err := s.client.status(ctx, s.done)
	if err == nil && state.Status != "completed" {
		err = fmt.Errorf("export %s is %s", s.done, state.Status)
	}
	return state.Status, err
}

func (s *starter) routes() (list []trigger) {
	for _, route := range s.Deployed.Routes {
		t := trigger{name: "`" + route.Method + " " + route.Path + "`", function: route.Function}
		if route.Method == http.MethodDelete {
			t.prepare = s.create
		}
		if strings.HasSuffix(route.Path, "/retry") {
			t.prepare = s.cancel
		}
		t.fire = func(ctx context.Context) (string, error) { return s.request(ctx, route) }
		list = append(list, t)
	}
	return list
}

// request asks a route about an export that is completed, deletes one that
// waits or retries a cancelled one. What
// it answers is told beside its figures; only a 5xx is an error.
func (s *starter) request(ctx context.Context, route template.Route) (string, error) {
	id := s.done
	if route.Method == http.MethodDelete {
		id = s.next
	}
	if strings.HasSuffix(route.Path, "/retry") {
		id = s.cancelled
	}
	path := strings.NewReplacer("{id}", id, "{name}", "users").Replace(route.Path)
	var body strings.Reader
	if route.Method == http.MethodPost {
		body = *strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, route.Method, s.BaseURL+path, &body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.http.Transport.RoundTrip(req) // follows no redirect
	if err != nil {
		return "", err
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		err = errors.New("it answers " + resp.Status)
	}
	return fmt.Sprint(resp.StatusCode), errors.Join(err, resp.Body.Close())
}

func (s *starter) schedules() (list []trigger) {
	for _, schedule := range s.Deployed.Schedules {
		list = append(list, trigger{name: "its schedule", function: schedule.Function, fire: func(ctx context.Context) (string, error) {
			_, err := s.Deployed.Host.Invoke(ctx, schedule.Function, []byte(schedule.Input))
			return "", err
		}})
	}
	return list
}

// others are functions that nothing of the above runs by itself: they run
// beside a route's function, as an authorizer does.
func (s *starter) others(known []trigger) (list []trigger) {
	for _, f := range s.Deployed.Functions {
		if slices.ContainsFunc(known, func(t trigger) bool { return t.function == f.LogicalID }) {
			continue
		}
		for _, route := range s.Deployed.Routes {
			if route.Method == http.MethodGet && !strings.Contains(route.Path, "{") {
				list = append(list, trigger{
					name: "before `GET " + route.Path + "`", function: f.LogicalID,
					fire: func(ctx context.Context) (string, error) { return s.request(ctx, route) },
				})
				break
			}
		}
	}
	return list
}
