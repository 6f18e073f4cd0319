// Package lambda runs AWS Lambda functions for real, as local processes.
//
// A [Host] starts the binaries that AWS would run (Go programs built for an
// OS-only runtime with aws-lambda-go), gives each process a Runtime API of its
// own on a loopback port, and serves the Lambda Invoke API in front of them.
// One process is one execution environment: it works on one invocation at a
// time, stays warm for the next ones, and is killed on a timeout. Unlike AWS it
// is not frozen between invocations, and a memory limit is reported only.
package lambda

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Function is a function that a Host can run.
type Function struct {
	Name        string // may be invoked by this name, by the ARN or by the logical ID
	LogicalID   string
	ARN         string
	Path        string // of the binary, absolute; its folder is the working directory
	Folder      string // of its logs, within Config.LogDir
	Handler     string
	MemoryMB    int
	Timeout     time.Duration // of one invocation
	Environment map[string]string
	Concurrency int // most environments at once; 0: the host's own bound
}

// Config is what a Host needs. Durations and bounds that are zero have defaults.
type Config struct {
	Functions []Function
	Region    string
	LogDir    string            // absolute; made if absent
	BaseEnv   map[string]string // given to every function, before its own variables
	OnReport  func(Report)      // called after each invocation, if not nil; must return soon

	Concurrency int           // environments of one function; default 20
	InitTimeout time.Duration // default 10 s, which is AWS's
	IdleTimeout time.Duration // after which a warm environment ends; default 5 min
}

// keptReports bounds what Host.Reports returns.
const keptReports = 10_000

// Host runs functions. Its methods may be called from any goroutine.
type Host struct {
	config Config
	mux    *http.ServeMux

	mu           sync.Mutex
	closed       bool
	environments map[*environment]bool
	idle         map[string][]*environment // by function; the most recently used is last
	reports      []Report

	closing chan struct{}
	work    sync.WaitGroup // invocations and environments
}

// New returns a host that has started nothing yet. It holds no resources until
// the first invocation; end it by [Host.Close].
func New(config Config) *Host {
	if config.Concurrency == 0 {
		config.Concurrency = 20
	}
	if config.InitTimeout == 0 {
		config.InitTimeout = 10 * time.Second
	}
	if config.IdleTimeout == 0 {
		config.IdleTimeout = 5 * time.Minute
	}
	h := &Host{
		config: config, environments: map[*environment]bool{}, idle: map[string][]*environment{}, closing: make(chan struct{}),
	}
	h.routes()
	return h
}

// Invoke runs a function, named by its name, ARN or logical ID, with a JSON
// payload (empty stands for {}) and waits for its answer.
//
// An error of the function itself is no error here: see [Result]. The error is
// an [Error] if the function was not run. When ctx is done first Invoke returns
// its error, but the invocation goes on, as it does in AWS.
func (h *Host) Invoke(ctx context.Context, function string, payload []byte) (Result, error) {
	f, err := h.function(function)
	if err != nil {
		return Result{}, err
	}
	inv, err := newInvocation(f, payload, "")
	if err != nil {
		return Result{}, err
	}
	return h.invoke(ctx, inv)
}

func (h *Host) invoke(ctx context.Context, inv *invocation) (Result, error) {
	e, err := h.acquire(inv)
	if err != nil {
		return Result{}, err
	}
	done := make(chan Result, 1)
	go func() {
		defer h.work.Done()
		done <- h.run(e, inv)
	}()
	select {
	case result := <-done:
		return result, nil
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

// function finds a function by name, logical ID or ARN, with or without $LATEST.
func (h *Host) function(name string) (*Function, error) {
	short := name
	if _, after, ok := strings.Cut(short, "function:"); ok {
		short = after
	}
	short = strings.TrimSuffix(short, ":$LATEST")
	for i := range h.config.Functions {
		if f := &h.config.Functions[i]; short == f.Name || short == f.LogicalID {
			return f, nil
		}
	}
	return nil, &Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "Function not found: " + name}
}

// acquire takes a free environment, or makes one that has yet to start, and
// counts the invocation as work.
func (h *Host) acquire(inv *invocation) (*environment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, &Error{Status: http.StatusServiceUnavailable, Code: "ServiceException", Message: "the Lambda host is closing"}
	}
	f := inv.function
	if free := h.idle[f.Name]; len(free) > 0 {
		e := free[len(free)-1]
		h.idle[f.Name] = free[:len(free)-1]
		e.expiry.Stop()
		e.take(inv)
		h.work.Add(1)
		return e, nil
	}
	count, limit := 0, h.config.Concurrency
	for e := range h.environments {
		if e.function == f {
			count++
		}
	}
	if f.Concurrency > 0 {
		limit = f.Concurrency
	}
	if count >= limit {
		return nil, &Error{
			Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate Exceeded.",
			Reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
		}
	}
	e := newEnvironment(h, f)
	e.take(inv)
	h.environments[e] = true
	h.work.Add(1)
	return e, nil
}

// release puts a living environment back for the next invocation.
func (h *Host) release(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.take(nil)
	if h.closed || !h.environments[e] {
		return
	}
	h.idle[e.function.Name] = append(h.idle[e.function.Name], e)
	e.expiry = time.AfterFunc(h.config.IdleTimeout, func() { h.expire(e) })
}

// expire ends an environment that nobody needed for long.
func (h *Host) expire(e *environment) {
	h.mu.Lock()
	free := slices.Contains(h.idle[e.function.Name], e)
	if free {
		h.forget(e)
	}
	h.mu.Unlock()
	if free {
		e.kill()
	}
}

// EndIdle ends the environments of a function that wait for work, and returns
// when they have ended: the next invocation is a cold start.
func (h *Host) EndIdle(function string) error {
	f, err := h.function(function)
	if err != nil {
		return err
	}
	h.mu.Lock()
	idle := slices.Clone(h.idle[f.Name])
	for _, e := range idle {
		e.expiry.Stop()
		h.forget(e)
	}
	h.mu.Unlock()
	for _, e := range idle {
		e.kill()
		<-e.process.Done()
	}
	return nil
}

// remove takes an environment out, so that it gets no further invocation.
func (h *Host) remove(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(e)
}

func (h *Host) forget(e *environment) {
	delete(h.environments, e)
	h.idle[e.function.Name] = slices.DeleteFunc(h.idle[e.function.Name], func(other *environment) bool { return other == e })
}

// Close ends every process at once, also those at work, and waits until all
// are gone or ctx is done, whose error it then returns.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.closing)
	}
	for e := range h.environments {
		if e.expiry != nil {
			e.expiry.Stop()
		}
		e.kill()
	}
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Environment is the state of one execution environment.
type Environment struct {
	Function  string `json:"function"`  // the function's name
	PID       int    `json:"pid"`       // 0 before the process has started
	State     string `json:"state"`     // init, busy or idle
	RequestID string `json:"requestId"` // of the invocation in flight; empty if idle
	LogFile   string `json:"logFile"`
}

// Environments lists the environments there are, by function and process id.
func (h *Host) Environments() []Environment {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Environment, 0, len(h.environments))
	for e := range h.environments {
		pid, request := e.status()
		state := "busy"
		if request == "" {
			state = "idle"
		} else if !e.initialized() {
			state = "init"
		}
		list = append(list, Environment{Function: e.function.Name, PID: pid, State: state, RequestID: request, LogFile: e.log.path})
	}
	slices.SortFunc(list, func(a, b Environment) int {
		if c := strings.Compare(a.Function, b.Function); c != 0 {
			return c
		}
		return a.PID - b.PID
	})
	return list
}

// Reports returns the latest 10,000 reports, oldest first: of one function, or
// of all if function is empty.
func (h *Host) Reports(function string) []Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Report, 0, len(h.reports))
	for _, r := range h.reports {
		if function == "" || r.Function == function {
			list = append(list, r)
		}
	}
	return list
}

// report notes an invocation that has ended.
func (h *Host) report(r Report) {
	h.mu.Lock()
	h.reports = append(h.reports, r)
	if len(h.reports) > keptReports {
		h.reports = slices.Delete(h.reports, 0, len(h.reports)-keptReports)
	}
	h.mu.Unlock()
	if h.config.OnReport != nil {
		h.config.OnReport(r)
	}
}
