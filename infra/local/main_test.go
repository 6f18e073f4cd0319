package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"csvexport/infra/internal/process"
	"csvexport/infra/internal/stack"
)

// TestMain lets the test's own binary stand in for the program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == stack.ObjectStoreCommand {
		main()
	}
	goleak.VerifyTestMain(m)
}

// call runs the program and returns its exit status and output.
func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, os.Getenv, &out, &errs)
	return code, out.String(), errs.String()
}

// tripwire listens on loopback and fails the test if anybody connects.
func tripwire(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 200)
			n, _ := conn.Read(request)
			t.Errorf("somebody connected to what the shell names: %q", request[:n])
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return "http://" + l.Addr().String()
}

// hostileShell sets whatever could lead an AWS SDK, or an HTTP client, out of
// the machine, to an address that fails the test.
func hostileShell(t *testing.T) {
	t.Helper()
	trap, dir := tripwire(t), t.TempDir()
	config := filepath.Join(dir, "config")
	text := fmt.Sprintf("[profile prod]\nregion = eu-west-1\nendpoint_url = %s\ncredential_process = /bin/false\n", trap)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"AWS_PROFILE": "prod", "AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": config, "AWS_REGION": "eu-west-1",
		"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "real", "AWS_SESSION_TOKEN": "real",
		"AWS_ENDPOINT_URL": trap, "AWS_ENDPOINT_URL_S3": trap, "AWS_ENDPOINT_URL_SQS": trap, "AWS_ENDPOINT_URL_DYNAMODB": trap,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": trap, "AWS_CONTAINER_CREDENTIALS_FULL_URI": trap, "AWS_CA_BUNDLE": filepath.Join(dir, "none"),
		"HTTP_PROXY": trap, "HTTPS_PROXY": trap, "http_proxy": trap, "https_proxy": trap, "ALL_PROXY": trap, "NO_PROXY": "", "no_proxy": "",
		"PGHOST": "192.0.2.1", "PGSERVICE": "none", "GOFLAGS": "-mod=readonly", "GOPROXY": "off",
	} {
		t.Setenv(key, value)
	}
}

func TestUp_NeverLeavesTheMachine(t *testing.T) {
	hostileShell(t)
	const name = "up-test"
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	var program sync.WaitGroup
	var code int
	var stdout, stderr string
	ended := make(chan struct{})
	program.Go(func() {
		defer close(ended)
		code, stdout, stderr = call(ctx, "up", "-stack", name, "-port", "0", "-ephemeral")
	})
	state := waitServing(t, name, ended)

	if code, _, errs := call(t.Context(), "seed", "-stack", name, "-rows", "500"); code != 0 {
		t.Errorf("seed: status %d: %s", code, errs)
	}
	demoCode, demoOut, demoErr := call(t.Context(), "demo", "-stack", name, "-rows", "1000")
	if demoCode != 0 || !strings.HasPrefix(demoOut, "demo: ok rows=1000 seconds=") {
		t.Errorf("demo: status %d, says %q\n%s", demoCode, demoOut, demoErr)
	}
	if code, _, errs := call(t.Context(), "up", "-stack", name, "-port", "0"); code != 1 || !strings.Contains(errs, "runs already") {
		t.Errorf("a second up: status %d, says %q", code, errs)
	}
	children := environments(t, state)

	interrupt(errInterrupted)
	program.Wait()
	if code != 0 || !strings.Contains(stdout, "ready: "+state.BaseURL) {
		t.Errorf("up: status %d, says %q\n%s", code, stdout, stderr)
	}
	for _, p := range append(state.Processes, children...) {
		if process.Running(p.PID, p.Identity) {
			t.Errorf("%s (process %d) runs on", p.Name, p.PID)
		}
	}
	if _, err := os.Stat(filepath.Join("..", "..", ".local", name)); !os.IsNotExist(err) {
		t.Errorf("the ephemeral stack's folder is still there: %v", err)
	}
}

func waitServing(t *testing.T, name string, ended <-chan struct{}) stack.State {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		state, err := stack.Find(filepath.Join("..", ".."), name)
		if err == nil {
			return state
		}
		select {
		case <-ended:
			t.Fatalf("up ended before it served")
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("up does not serve: %v", err)
		}
	}
}

// environments lists the functions' processes.
func environments(t *testing.T, state stack.State) []stack.Process {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, state.Endpoints.Lambda+"/local/environments", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []struct {
		Function string `json:"function"`
		PID      int    `json:"pid"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	var processes []stack.Process
	for _, e := range list {
		identity, err := process.Identity(e.PID)
		if err != nil {
			t.Fatalf("%s: %v", e.Function, err)
		}
		processes = append(processes, stack.Process{Name: e.Function, PID: e.PID, Identity: identity})
	}
	if len(processes) < 4 {
		t.Errorf("%d function processes after an export, want create-, get-, download- and run-export: %v", len(processes), processes)
	}
	return processes
}

func TestRun(t *testing.T) {
	hostileShell(t)
	const script = `
		test "$($TEST_PSQL -XAt "$TEST_DATABASE_URL" -c 'SELECT 6 * 7')" = 42 || exit 1
		test "$(command -v psql)" = "$TEST_PSQL" || exit 2
		for url in $TEST_S3_URL $TEST_SQS_URL $TEST_DYNAMODB_URL; do
			case $url in http://127.0.0.1:*) ;; *) exit 3;; esac
		done
		case "$(env)" in *AKIAREAL*|*AWS_PROFILE=*|*AWS_CA_BUNDLE=*) exit 4;; esac
		echo "$AWS_ENDPOINT_URL_S3 is $TEST_S3_URL"
		exit 7`
	code, stdout, stderr := call(t.Context(), "run", "--", "sh", "-c", script)
	if code != 7 {
		t.Fatalf("status %d, want the command's own, 7\n%s%s", code, stdout, stderr)
	}
	if a, b, ok := strings.Cut(strings.TrimSpace(stdout), " is "); !ok || a != b {
		t.Errorf("S3 endpoint: %q", stdout)
	}
	left, err := filepath.Glob("../../.local/" + fmt.Sprintf("run-%d", os.Getpid()))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

// TestErrors holds what ends in one clear line.
func TestErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	tests := map[string]struct {
		args []string
		path string // PATH, if not the shell's
		code int
		want string
	}{
		"no command":       {nil, "", 2, "usage: local COMMAND"},
		"unknown command":  {[]string{"start"}, "", 2, `unknown command "start"`},
		"argument":         {[]string{"up", "now"}, "", 2, `unexpected argument "now"`},
		"rows":             {[]string{"demo", "-rows", "-1"}, "", 2, "-rows -1"},
		"no project":       {[]string{"up", "-root", t.TempDir()}, "", 2, "no template.yaml"},
		"run nothing":      {[]string{"run"}, "", 1, "run: no command"},
		"taken port":       {[]string{"up", "-stack", "errors-test", "-ephemeral", "-port", port}, "", 1, "port " + port + " of 127.0.0.1 is taken"},
		"demo, taken port": {[]string{"demo", "-stack", "errors-test", "-port", port}, "", 1, "port " + port + " of 127.0.0.1 is taken"},
		"no go":            {[]string{"up", "-stack", "errors-test", "-ephemeral", "-port", "0"}, "/nowhere", 1, "no go on PATH"},
		"no value":         {[]string{"up", "-param", "LogLevel"}, "", 2, "want NAME=VALUE"},
		"value twice":      {[]string{"up", "-param", "LogLevel=info", "-param", "LogLevel=warn"}, "", 2, "LogLevel is given twice"},
		"no parameter":     {[]string{"up", "-stack", "errors-test", "-ephemeral", "-port", "0", "-param", "Nope=1"}, "", 1, "the template has no parameter Nope, which was given a value"},
		"emulator":         {[]string{"up", "-emulator", "kumo"}, "", 2, `-emulator "kumo": want local, localstack, or the URL of one that runs`},
		"no emulator":      {[]string{"up", "-stack", "errors-test", "-ephemeral", "-port", "0", "-emulator", "http://127.0.0.1:1"}, "", 1, "nobody answers at http://127.0.0.1:1"},
		"bad parameter":    {[]string{"up", "-stack", "errors-test", "-ephemeral", "-port", "0", "-param", "AuthMode=basic"}, "", 1, "must be jwt, none or iam"},
		"down of nothing":  {[]string{"down", "-stack", "never-was"}, "", 0, `the stack "never-was" does not run`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.path != "" {
				t.Setenv("PATH", tt.path)
			}
			code, stdout, stderr := call(t.Context(), tt.args...)
			if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
				t.Errorf("status %d, want %d; says %q, want %q", code, tt.code, stdout+stderr, tt.want)
			}
		})
	}
	if code, _, errs := call(t.Context(), "down", "-clean", "-stack", "errors-test"); code != 0 {
		t.Errorf("down -clean: status %d: %s", code, errs)
	}
}

// Only run is silent when a command fails, since that has told why itself.
func TestStatus(t *testing.T) {
	failed := exec.CommandContext(t.Context(), "sh", "-c", "exit 3").Run()
	var out bytes.Buffer
	if code := status(fmt.Errorf("install the packages: %w: no space left", failed), &out); code != 1 || out.String() != "local: install the packages: exit status 3: no space left\n" {
		t.Errorf("status %d, says %q", code, out.String())
	}
}

func TestUp_UnknownTemplateFeature(t *testing.T) {
	root := t.TempDir()
	text := "Resources:\n  Machine:\n    Type: AWS::EC2::Instance\n"
	if err := os.WriteFile(filepath.Join(root, "template.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := call(t.Context(), "up", "-root", root, "-port", "0")
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if last := lines[len(lines)-1]; code != 1 || !strings.Contains(last, "template.yaml:3:") || !strings.Contains(last, "AWS::EC2::Instance") {
		t.Errorf("status %d, says %q", code, stderr)
	}
}
