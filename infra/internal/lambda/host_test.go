package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/process"
)

func TestInvoke_ColdThenWarm(t *testing.T) {
	var reports []lambda.Report
	h := newHost(t, lambda.Config{
		Functions: []lambda.Function{function(t, "handler")},
		OnReport:  func(r lambda.Report) { reports = append(reports, r) },
	})
	first := invoke(t, h, "test-Export", `{}`)
	in := decode(t, first)
	if in.PID != first.PID || in.RequestID != first.RequestID || in.ARN != "arn:aws:lambda:us-east-1:000000000000:function:test-Export" {
		t.Errorf("the function saw %+v, the result says %+v", in, first.Report)
	}
	if !slices.Contains(in.Environment, "_X_AMZN_TRACE_ID="+first.TraceID) {
		t.Errorf("the report's trace %q is not the function's: %q", first.TraceID, in.Environment)
	}
	if in.LeftMillis < 18_000 || in.LeftMillis > 20_000 {
		t.Errorf("%d ms left of 20 s", in.LeftMillis)
	}
	if self, _ := os.Executable(); in.Dir != filepath.Dir(self) {
		t.Errorf("working directory %s", in.Dir)
	}
	if first.InitDuration <= 0 || first.Duration <= 0 || first.BilledDuration < first.Duration+first.InitDuration {
		t.Errorf("report of a cold start: %+v", first.Report)
	}
	if _, err := os.Stat("/proc/self/status"); err == nil && first.MaxMemoryMB == 0 {
		t.Error("no memory reported")
	}
	for _, name := range []string{"Export", "test-Export", "arn:aws:lambda:us-east-1:000000000000:function:test-Export:$LATEST"} {
		second := invoke(t, h, name, ``)
		if decode(t, second).PID != in.PID || second.InitDuration != 0 {
			t.Errorf("%s: process %d, init %v; want the warm process %d", name, second.PID, second.InitDuration, in.PID)
		}
	}
	if got := h.Reports("test-Export"); len(got) != 4 || len(reports) != 4 || got[0] != reports[0] || len(h.Reports("other")) != 0 {
		t.Errorf("reports %+v, called back %+v", got, reports)
	}
}

// EndIdle ends what waits, and nothing that works.
func TestEndIdle(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}})
	first := invoke(t, h, "Export", `{}`)
	if err := h.EndIdle("Export"); err != nil {
		t.Fatal(err)
	}
	if list := h.Environments(); len(list) != 0 {
		t.Errorf("environments %+v are left", list)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(first.PID)); err == nil {
		t.Error("its process runs on")
	}
	if second := invoke(t, h, "Export", `{}`); second.InitDuration == 0 || second.PID == first.PID {
		t.Errorf("the next invocation is no cold start: %+v", second.Report)
	}
	if err := h.EndIdle("nobody"); err == nil {
		t.Error("no error for an unknown function")
	}
}

func TestInvoke_Environment(t *testing.T) {
	t.Setenv("AWS_PROFILE", "production")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "real")
	t.Setenv("HTTPS_PROXY", "http://proxy.example")
	f := function(t, "handler")
	f.Environment["TABLE_NAME"] = "jobs"
	f.Environment["AWS_REGION"] = "elsewhere"
	f.Environment["SHARED"] = "function"
	h := newHost(t, lambda.Config{
		Functions: []lambda.Function{f}, BaseEnv: map[string]string{"SHARED": "base", "AWS_SECRET_ACCESS_KEY": "test"},
	})
	result := invoke(t, h, "Export", `{}`)
	got := decode(t, result).Environment
	names := []string{}
	for _, variable := range got {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{
		"AWS_DEFAULT_REGION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API",
		"AWS_REGION", "AWS_SECRET_ACCESS_KEY", "LAMBDA_TASK_ROOT", "LANG", "PATH", "SHARED", "TABLE_NAME", "TEST_FUNCTION", "TZ", "_HANDLER",
	}
	// aws-lambda-go itself sets this one for each invocation.
	names = slices.DeleteFunc(names, func(name string) bool { return name == "_X_AMZN_TRACE_ID" })
	if !slices.Equal(names, want) {
		t.Errorf("variables %v\nwant %v", names, want)
	}
	stream := strings.TrimSuffix(filepath.Base(result.LogFile), ".log")
	for _, variable := range []string{
		"SHARED=function", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-east-1", "TABLE_NAME=jobs", "TZ=:UTC", "_HANDLER=bootstrap",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=2048", "AWS_LAMBDA_LOG_STREAM_NAME=" + stream,
	} {
		if !slices.Contains(got, variable) {
			t.Errorf("%s is missing in %v", variable, got)
		}
	}
}

// start runs n slow invocations at once and waits until all are at work. The
// returned function waits for their results.
func start(t *testing.T, h *lambda.Host, n, millis int) func() []lambda.Result {
	t.Helper()
	results := make([]lambda.Result, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var err error
			if results[i], err = h.Invoke(context.WithoutCancel(t.Context()), "Export", []byte(`{"op":"sleep","millis":`+strconv.Itoa(millis)+`}`)); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all at work", func() bool {
		busy := 0
		for _, e := range h.Environments() {
			if e.State == "busy" && e.PID != 0 && e.RequestID != "" {
				busy++
			}
		}
		return busy == n
	})
	return func() []lambda.Result { all.Wait(); return results }
}

func TestInvoke_Concurrency(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}, Concurrency: 3})
	results := start(t, h, 3, 1500)
	var refused *lambda.Error
	if _, err := h.Invoke(t.Context(), "Export", nil); !errors.As(err, &refused) || refused.Code != "TooManyRequestsException" {
		t.Errorf("a fourth invocation: %v, want TooManyRequestsException", err)
	}
	pids := map[int]bool{}
	for _, result := range results() {
		pids[decode(t, result).PID] = true
	}
	if len(pids) != 3 {
		t.Errorf("%d processes for 3 invocations at once", len(pids))
	}
	for _, e := range h.Environments() {
		if e.State != "idle" || e.RequestID != "" || !pids[e.PID] {
			t.Errorf("environment %+v, want idle and one of %v", e, pids)
		}
	}
	last := h.Reports("")[2]
	if again := invoke(t, h, "Export", `{}`); again.PID != last.PID {
		t.Errorf("process %d was taken, want the most recently used %d", again.PID, last.PID)
	}
}

func TestInvoke_Failures(t *testing.T) {
	tests := map[string]struct {
		mode, payload string
		errorType     string
		message       string // pattern; ID stands for the request id
		status        string
		replaced      bool // the next invocation gets another process
	}{
		"error":         {"handler", `{"op":"error"}`, "errorString", `^no such table$`, "error", false},
		"panic":         {"handler", `{"op":"panic"}`, "string", `^out of cheese$`, "error", true},
		"exit":          {"handler", `{"op":"exit"}`, "Runtime.ExitError", `^RequestId: ID Error: Runtime exited with error: exit status 3$`, "error", true},
		"timeout":       {"handler", `{"op":"sleep","millis":60000}`, "Sandbox.Timedout", `^RequestId: ID Error: Task timed out after 1\.50 seconds$`, "timeout", true},
		"too large":     {"handler", `{"bytes":6291557}`, "Function.ResponseSizeTooLarge", `exceeded maximum allowed payload size \(6291556 bytes\)`, "error", true},
		"exits in init": {"exits in init", `{}`, "Runtime.ExitError", `^RequestId: ID Error: Runtime exited with error: exit status 7$`, "error", true},
		"init error":    {"fails in init", `{}`, "Runtime.NoSuchHandler", `^handler not found$`, "error", true},
		"init timeout":  {"hangs in init", `{}`, "Sandbox.Timedout", `^RequestId: ID Error: Task timed out after 3\.00 seconds$`, "timeout", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := function(t, tt.mode)
			f.Timeout = 1500 * time.Millisecond
			h := newHost(t, lambda.Config{Functions: []lambda.Function{f}, InitTimeout: 3 * time.Second})
			result := invoke(t, h, "Export", tt.payload)
			var body struct{ ErrorType, ErrorMessage string }
			if err := json.Unmarshal(result.Payload, &body); err != nil {
				t.Fatalf("%v in %s", err, result.Payload)
			}
			message := strings.ReplaceAll(body.ErrorMessage, result.RequestID, "ID")
			if result.FunctionError != "Unhandled" || body.ErrorType != tt.errorType || !regexp.MustCompile(tt.message).MatchString(message) {
				t.Errorf("function error %q, body %s", result.FunctionError, result.Payload)
			}
			if result.Status != tt.status || result.ErrorType != tt.errorType {
				t.Errorf("report %+v", result.Report)
			}
			if identity, err := process.Identity(result.PID); tt.replaced && body.ErrorType != "string" && err == nil {
				t.Errorf("process %d (%s) runs on", result.PID, identity)
			}
			if tt.mode != "handler" {
				return
			}
			if next := decode(t, invoke(t, h, "Export", `{}`)); (next.PID != result.PID) != tt.replaced {
				t.Errorf("then process %d, before %d; want another one: %t", next.PID, result.PID, tt.replaced)
			}
		})
	}
}

func TestInvoke_KilledFromOutside(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}})
	results := start(t, h, 1, 60_000)
	e := h.Environments()[0]
	identity, err := process.Identity(e.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.KillIfSame(e.PID, identity); err != nil {
		t.Fatal(err)
	}
	result := results()[0]
	if result.RequestID != e.RequestID || !strings.Contains(string(result.Payload), "Runtime exited with error: signal: killed") {
		t.Errorf("request %s, payload %s", result.RequestID, result.Payload)
	}
}

func TestInvoke_WarmProcessDied(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}})
	pid := decode(t, invoke(t, h, "Export", `{}`)).PID
	identity, err := process.Identity(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.KillIfSame(pid, identity); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the environment is gone", func() bool { return len(h.Environments()) == 0 })
	if next := decode(t, invoke(t, h, "Export", `{}`)); next.PID == pid {
		t.Errorf("process %d answered after its end", pid)
	}
}

func TestInvoke_CallerLeaves(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := h.Invoke(ctx, "Export", []byte(`{"op":"sleep","millis":1000}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want deadline exceeded", err)
	}
	eventually(t, "the invocation ends by itself", func() bool { return len(h.Reports("")) == 1 })
	if r := h.Reports("")[0]; r.Status != "success" || r.Duration < time.Second {
		t.Errorf("report %+v", r)
	}
}

func TestIdleEnvironmentsEnd(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}, IdleTimeout: 50 * time.Millisecond})
	pid := decode(t, invoke(t, h, "Export", `{}`)).PID
	eventually(t, "the process ends", func() bool {
		_, err := process.Identity(pid)
		return errors.Is(err, os.ErrProcessDone)
	})
	eventually(t, "the environment is gone", func() bool { return len(h.Environments()) == 0 })
}

func TestLog(t *testing.T) {
	f := function(t, "handler")
	f.MemoryMB = 1
	h := newHost(t, lambda.Config{Functions: []lambda.Function{f}})
	first, second := invoke(t, h, "Export", `{"op":"one"}`), invoke(t, h, "Export", `{"op":"error"}`)
	log, err := os.ReadFile(first.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	if first.LogFile != second.LogFile || filepath.Base(filepath.Dir(first.LogFile)) != "export" {
		t.Errorf("log files %s and %s", first.LogFile, second.LogFile)
	}
	pattern := regexp.MustCompile(`^START RequestId: ` + first.RequestID + ` Version: \$LATEST
handling one
to stderr
(WARNING RequestId: ` + first.RequestID + ` used \d+ MB of its 1 MB: .*
)?END RequestId: ` + first.RequestID + `
REPORT RequestId: ` + first.RequestID + `	Duration: \d+\.\d\d ms	Billed Duration: \d+ ms	Memory Size: 1 MB	Max Memory Used: \d+ MB	Init Duration: \d+\.\d\d ms
START RequestId: ` + second.RequestID + ` Version: \$LATEST
handling error
to stderr
.*"errorMessage":"no such table".*
(WARNING .*
)?END RequestId: ` + second.RequestID + `
REPORT RequestId: ` + second.RequestID + `	Duration: .*	Status: error	Error Type: errorString
$`)
	if !pattern.Match(log) {
		t.Errorf("the log is\n%s", log)
	}
	if !strings.HasPrefix(second.LogTail, "START RequestId: "+second.RequestID) || !strings.HasSuffix(string(log), second.LogTail) {
		t.Errorf("the tail of the second invocation is\n%s", second.LogTail)
	}
}

func TestClose_EndsWork(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}})
	results := start(t, h, 2, 60_000)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, result := range results() {
		if result.FunctionError == "" {
			t.Errorf("an invocation outlived Close: %s", result.Payload)
		}
		if _, err := process.Identity(result.PID); err == nil {
			t.Errorf("process %d outlived Close", result.PID)
		}
	}
	var refused *lambda.Error
	if _, err := h.Invoke(t.Context(), "Export", nil); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("an invocation after Close: %v", err)
	}
}
