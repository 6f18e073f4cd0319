package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/process"
)

// TestMain lets the test binary be its own Lambda function, which is what it is
// when the function's variable says so.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_FUNCTION") {
	case "":
		if os.Getenv("TEST_HOST") != "" {
			hostUntilKilled()
			return
		}
		goleak.VerifyTestMain(m)
	case "exits in init":
		fmt.Println("no database")
		os.Exit(7)
	case "fails in init":
		runtimeInitError()
	case "hangs in init":
		select {}
	default:
		runtime.Start(handle)
	}
}

type request struct {
	Op     string `json:"op"`
	Millis int    `json:"millis"`
	Bytes  int    `json:"bytes"`
}

type response struct {
	PID         int      `json:"pid"`
	RequestID   string   `json:"requestId"`
	ARN         string   `json:"arn"`
	LeftMillis  int64    `json:"leftMillis"`
	Environment []string `json:"environment"`
	Dir         string   `json:"dir"`
	Fill        string   `json:"fill"`
}

func handle(ctx context.Context, in request) (response, error) {
	fmt.Println("handling", in.Op)
	fmt.Fprintln(os.Stderr, "to stderr")
	switch in.Op {
	case "sleep":
		time.Sleep(time.Duration(in.Millis) * time.Millisecond)
	case "exit":
		os.Exit(3)
	case "panic":
		panic("out of cheese")
	case "error":
		return response{}, errors.New("no such table")
	}
	call, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	dir, _ := os.Getwd()
	return response{
		PID: os.Getpid(), RequestID: call.AwsRequestID, ARN: call.InvokedFunctionArn, LeftMillis: time.Until(deadline).Milliseconds(),
		Environment: os.Environ(), Dir: dir, Fill: strings.Repeat("x", in.Bytes),
	}, nil
}

// runtimeInitError does what a runtime does that can't load its handler.
func runtimeInitError() {
	body := `{"errorMessage":"handler not found","errorType":"Runtime.NoSuchHandler"}`
	url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	os.Exit(1)
}

// function is the test binary as the function Export.
func function(t *testing.T, mode string) lambda.Function {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return lambda.Function{
		Name: "test-Export", LogicalID: "Export", ARN: "arn:aws:lambda:us-east-1:000000000000:function:test-Export",
		Path: self, Folder: "export", Handler: "bootstrap", MemoryMB: 2048, Timeout: 20 * time.Second,
		Environment: map[string]string{"TEST_FUNCTION": mode},
	}
}

// newHost returns a host that is closed after the test; no process may be left then.
func newHost(t *testing.T, config lambda.Config) *lambda.Host {
	t.Helper()
	config.LogDir = t.TempDir()
	config.Region = "us-east-1"
	h := lambda.New(config)
	t.Cleanup(func() {
		identities := map[int]string{}
		for _, e := range h.Environments() {
			if identity, err := process.Identity(e.PID); err == nil {
				identities[e.PID] = identity
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		for pid, identity := range identities {
			if process.Running(pid, identity) {
				t.Errorf("process %d runs on after Close", pid)
			}
		}
	})
	return h
}

func invoke(t *testing.T, h *lambda.Host, name, payload string) lambda.Result {
	t.Helper()
	result, err := h.Invoke(t.Context(), name, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func decode(t *testing.T, result lambda.Result) response {
	t.Helper()
	var r response
	if result.FunctionError != "" {
		t.Fatalf("function error %s: %s\nlog: %s", result.FunctionError, result.Payload, result.LogTail)
	}
	if err := json.Unmarshal(result.Payload, &r); err != nil {
		t.Fatalf("%v in %s", err, result.Payload)
	}
	return r
}

// eventually polls until done is true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// hostUntilKilled leaves one warm process and prints its id.
func hostUntilKilled() {
	dir, _ := os.MkdirTemp("", "lambda-test")
	self, _ := os.Executable()
	h := lambda.New(lambda.Config{LogDir: dir, Functions: []lambda.Function{{
		Name: "f", Path: self, Folder: "f", Timeout: time.Minute, Environment: map[string]string{"TEST_FUNCTION": "handler"},
	}}})
	result, err := h.Invoke(context.Background(), "f", nil)
	if err != nil {
		panic(err)
	}
	_ = os.RemoveAll(filepath.Clean(dir))
	fmt.Println(result.PID)
	select {}
}
