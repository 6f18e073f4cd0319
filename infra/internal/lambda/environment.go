package lambda

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"csvexport/infra/internal/process"
)

// environment is one process of a function, with its own Runtime API.
type environment struct {
	host     *Host
	function *Function
	log      *logFile
	expiry   *time.Timer // guarded by the host's lock

	offers chan *invocation // from the host to GET /next
	ready  chan struct{}    // closed at the first GET /next
	init   sync.Once        // closes ready

	mu        sync.Mutex
	process   *process.Process // nil before it has started
	killed    bool
	current   *invocation
	initError *answer // what the runtime reported to /init/error
}

func newEnvironment(h *Host, f *Function) *environment {
	return &environment{
		host: h, function: f, log: newLogFile(filepath.Join(h.config.LogDir, f.Folder), time.Now()),
		offers: make(chan *invocation), ready: make(chan struct{}),
	}
}

// run works on an invocation, in e or in the one that has to take its place.
func (h *Host) run(e *environment, inv *invocation) Result {
	for {
		pid, _ := e.status()
		cold := pid == 0
		var initDuration time.Duration
		if cold {
			begin := time.Now()
			if failure := e.start(inv); failure != nil {
				return h.finish(e, inv, *failure, begin, 0)
			}
			initDuration = time.Since(begin)
		}
		begin := time.Now()
		a, accepted := e.offer(inv, begin)
		if accepted || cold {
			return h.finish(e, inv, a, begin, initDuration)
		}
		// A warm process ended between two invocations: this one was not touched.
		h.remove(e)
		next, err := h.acquire(context.Background(), inv)
		if err != nil {
			return h.finish(e, inv, a, begin, 0)
		}
		h.work.Done() // acquire counted this invocation a second time
		e = next
	}
}

// start starts the process and waits until it asks for its first invocation.
// It returns nil, or the answer of an invocation that can't be run.
func (e *environment) start(inv *invocation) *answer {
	fail := func(a answer) *answer {
		e.kill()
		return &a
	}
	api, err := e.serveRuntime()
	if err != nil {
		return fail(inv.failed("Runtime.Unknown", err.Error()))
	}
	if err := e.startProcess(api.address); err != nil {
		api.close()
		return fail(inv.failed("Runtime.InvalidEntrypoint", err.Error()))
	}
	e.host.work.Add(1)
	go func() {
		defer e.host.work.Done()
		<-e.process.Done()
		e.host.remove(e)
		api.close()
	}()
	timeout := time.NewTimer(e.host.config.InitTimeout)
	defer timeout.Stop()
	select {
	case <-e.ready:
		return nil
	case <-e.process.Done():
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.initError != nil {
			return e.initError
		}
		a := e.exited(inv)
		return &a
	case <-timeout.C:
		return fail(inv.timedOut(e.host.config.InitTimeout))
	}
}

// startProcess starts the binary with output straight to the log, so that its
// lines are in the file before it answers.
func (e *environment) startProcess(runtimeAPI string) error {
	out, err := e.log.create()
	if err != nil {
		return err
	}
	defer out.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.killed {
		return errors.New("the Lambda host is closing")
	}
	p, err := process.Start(process.Spec{
		Path: e.function.Path, Dir: filepath.Dir(e.function.Path), Env: e.variables(runtimeAPI), Stdout: out, Stderr: out,
	})
	if err != nil {
		return err
	}
	e.process = p
	return nil
}

// offer hands an invocation to the process and waits for its answer. accepted
// is false if the process ended before it took the invocation.
func (e *environment) offer(inv *invocation, begin time.Time) (a answer, accepted bool) {
	inv.deadline = begin.Add(e.function.Timeout)
	timeout := time.NewTimer(e.function.Timeout)
	defer timeout.Stop()
	select {
	case e.offers <- inv:
		<-inv.begun
	case <-e.process.Done():
		return e.exited(inv), false
	case <-timeout.C:
		return inv.timedOut(e.function.Timeout), true
	}
	select {
	case a := <-inv.answer:
		return a, true
	case <-timeout.C:
		return inv.timedOut(e.function.Timeout), true
	case <-e.process.Done():
	}
	select {
	case a := <-inv.answer: // it answered and ended at once
		return a, true
	default:
		return e.exited(inv), true
	}
}

// exited is the answer for a process that ended by itself.
func (e *environment) exited(inv *invocation) answer {
	message := "Runtime exited without providing a reason"
	var exit *exec.ExitError
	if err := e.process.Wait(); errors.As(err, &exit) {
		message = "Runtime exited with error: " + exit.Error()
	}
	return inv.failed("Runtime.ExitError", message)
}

// finish writes the last lines of an invocation's log, reports it, and decides what becomes of the environment.
func (h *Host) finish(e *environment, inv *invocation, a answer, begin time.Time, initDuration time.Duration) Result {
	duration := time.Since(begin)
	if a.timedOut {
		duration = min(duration, e.function.Timeout)
	}
	pid, _ := e.status()
	report := Report{
		Function: e.function.Name, RequestID: inv.id, TraceID: inv.traceID, Status: "success", ErrorType: a.errorType, Start: begin,
		Duration: duration, InitDuration: initDuration,
		BilledDuration: (duration + initDuration + time.Millisecond - 1).Truncate(time.Millisecond),
		MemoryMB:       e.function.MemoryMB, MaxMemoryMB: peakMemoryMB(pid), PID: pid, LogFile: e.log.path,
	}
	switch {
	case a.timedOut:
		report.Status = "timeout"
	case a.errorType != "":
		report.Status = "error"
	}
	if a.fatal {
		h.remove(e)
		e.kill()
		if e.process != nil {
			<-e.process.Done()
		}
	}
	result := Result{Payload: a.payload, Report: report}
	if a.errorType != "" {
		result.FunctionError = "Unhandled"
	}
	result.LogTail = e.log.finish(report, a, inv)
	if !a.fatal {
		h.release(e)
	}
	h.report(report)
	return result
}

// kill ends the process and its group, now or as soon as it has started.
func (e *environment) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.killed = true
	if e.process != nil {
		e.process.Kill()
	}
}

// take notes the invocation that the environment works on; nil for none.
func (e *environment) take(inv *invocation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = inv
}

// status is the process id, 0 before the start, and the request in flight.
func (e *environment) status() (pid int, request string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.process != nil {
		pid = e.process.PID()
	}
	if e.current != nil {
		request = e.current.id
	}
	return pid, request
}

func (e *environment) initialized() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// variables is the process's whole environment. Lambda's own names can't be
// overridden by the template, as in AWS.
func (e *environment) variables(runtimeAPI string) []string {
	f := e.function
	all := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LANG": "en_US.UTF-8",
		"TZ":   ":UTC",
	}
	for _, more := range []map[string]string{e.host.config.BaseEnv, f.Environment, {
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      e.log.stream,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_REGION":                      e.host.config.Region,
		"AWS_DEFAULT_REGION":              e.host.config.Region,
		"LAMBDA_TASK_ROOT":                filepath.Dir(f.Path),
		"_HANDLER":                        f.Handler,
	}} {
		for name, value := range more {
			all[name] = value
		}
	}
	list := make([]string, 0, len(all))
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	return list
}

// peakMemoryMB is the most memory the process had resident, in MB rounded up:
// VmHWM of proc_pid_status(5). It is 0 where there is no such file.
func peakMemoryMB(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	kilobytes := 0
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(rest, &kilobytes) // leaves 0 if it is no number
	}
	return (kilobytes + 1023) / 1024
}
