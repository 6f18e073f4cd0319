// Package bench measures the service's routes under load, on a local stack
// whose functions reach the emulator of SQS and DynamoDB through a recorder.
//
// The emulator is one process, far slower than what it stands for. So the time
// that a function takes is told apart from the time that it waits for it.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/recorder"
)

// InFlight is the number of requests at once under load.
const InFlight = 20

const (
	healthTarget = 10 * time.Millisecond // for the p99 of a function's own time
	routeTarget  = 50 * time.Millisecond
	warmUpRounds = 10 // requests of a warm-up, in multiples of InFlight
)

// The functions' logical IDs in template.yaml.
const (
	createExport = "CreateExportFunction"
	getExport    = "GetExportFunction"
	health       = "HealthFunction"
	runExport    = "RunExportFunction"
)

// Config says what to measure.
type Config struct {
	BaseURL   string // of the routes
	LambdaURL string // of the Lambda host
	Recorder  *recorder.Recorder
	Requests  int       // of each kind with InFlight at once; a fifth of it one after the other
	Out       io.Writer // gets a line for each step
}

// Line is one kind of request at one load.
type Line struct {
	Name     string
	InFlight int
	Target   time.Duration   // for the p99 of the function's own time; 0: none
	Warm     []Invocation    // of environments that were there already
	Client   []time.Duration // what the caller waited, of every request
}

// ColdStarts are the first invocations of a function's environments.
type ColdStarts struct {
	Function string
	Alone    lambda.Report   // nothing else at work
	AtOnce   []lambda.Report // begun together
}

// request is a kind of request to be measured.
type request struct {
	name     string
	function string // logical ID
	target   time.Duration
	calls    bool // it asks the emulator
	do       func(context.Context) error
}

type bench struct {
	Config
	client *client
}

// Requests measures health, create and status. The stack must deliver no
// message and must have run none of their functions yet. The exports that are
// created stay queued.
func Requests(ctx context.Context, cfg Config) (lines []Line, cold []ColdStarts, err error) {
	b := &bench{Config: cfg, client: newClient(cfg.BaseURL, cfg.LambdaURL)}
	defer b.client.close()
	var ids pool
	for _, r := range []request{
		{"`GET /health`", health, healthTarget, false, b.client.health},
		{"`POST /exports/csv`", createExport, routeTarget, true, func(ctx context.Context) error {
			id, err := b.client.create(ctx)
			ids.add(id)
			return err
		}},
		{"`GET /exports/{id}/status`", getExport, routeTarget, true, func(ctx context.Context) error {
			_, err := b.client.status(ctx, ids.next())
			return err
		}},
	} {
		fmt.Fprintf(b.Out, "measuring %s\n", r.name)
		starts, err := b.warmUp(ctx, r)
		if err != nil {
			return nil, nil, err
		}
		cold = append(cold, starts)
		alone, err := b.measure(ctx, r, 1, times(max(b.Config.Requests/5, 1)))
		if err != nil {
			return nil, nil, err
		}
		busy, err := b.measure(ctx, r, InFlight, times(b.Config.Requests))
		if err != nil {
			return nil, nil, err
		}
		lines = append(lines, alone, busy)
	}
	runs, err := b.client.reports(ctx, runExport, time.Time{})
	if err == nil && len(runs) > 0 {
		err = errors.New("the requests competed with exports: the stack delivers messages")
	}
	return lines, cold, err
}

// warmUp starts a function's environments: the first one alone.
func (b *bench) warmUp(ctx context.Context, r request) (ColdStarts, error) {
	begin := time.Now()
	if _, err := load(ctx, 1, times(1), r.do); err != nil {
		return ColdStarts{}, err
	}
	if _, err := load(ctx, InFlight, times(warmUpRounds*InFlight), r.do); err != nil {
		return ColdStarts{}, err
	}
	reports, err := b.client.reports(ctx, r.function, begin)
	if err != nil {
		return ColdStarts{}, err
	}
	if len(reports) == 0 || reports[0].InitDuration == 0 {
		return ColdStarts{}, fmt.Errorf("%s: its first invocation was no cold start", r.function)
	}
	starts := ColdStarts{Function: r.function, Alone: reports[0]}
	for _, report := range reports[1:] {
		if report.InitDuration > 0 {
			starts.AtOnce = append(starts.AtOnce, report)
		}
	}
	return starts, nil
}

// measure sends requests for as long as more says so, inFlight at once.
func (b *bench) measure(ctx context.Context, r request, inFlight int, more func() bool) (Line, error) {
	begin := time.Now()
	b.Recorder.Take()
	client, err := load(ctx, inFlight, more, r.do)
	if err != nil {
		return Line{}, err
	}
	reports, err := b.client.reports(ctx, r.function, begin)
	if err != nil {
		return Line{}, err
	}
	line := Line{Name: r.name, InFlight: inFlight, Target: r.target, Client: client, Warm: warmOf(reports, b.Recorder.Take())}
	total := 0
	for _, i := range line.Warm {
		total += i.Calls
	}
	if len(reports) != len(client) {
		return Line{}, fmt.Errorf("%s: %d requests, but %d invocations", r.name, len(client), len(reports))
	}
	if r.calls && total < len(line.Warm) { // the functions' own time would come out too long
		return Line{}, errors.New(r.name + ": calls to the emulator can't be told apart by invocation")
	}
	return line, nil
}
