package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"csvexport/infra/internal/process"
	"csvexport/infra/internal/stack"
)

const (
	startTimeout = 5 * time.Minute // with nothing cached it compiles the functions and installs the servers
	runTimeout   = 5 * time.Minute // of a command that ends by itself
	stopTimeout  = time.Minute
	pollEvery    = 20 * time.Millisecond
)

// local is a stack that "local up" serves.
type local struct {
	stack.State
	process *process.Process
	output  *output
	rows    int // of users; -1 until seeded

	authorization string // sent with each request to a path of the service; empty for none
}

// output gathers what a process writes, while others read it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// environment is this process's, without the database that a user may have
// named for his own stack.
func environment() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "DATABASE_URL=") {
			env = append(env, entry)
		}
	}
	return env
}

// up starts "local up" and waits until the stack serves. Like everything that
// package process starts, it ends with this process, however that ends.
func up(name string, flags ...string) (*local, error) {
	l := &local{output: &output{}, rows: -1}
	var err error
	l.process, err = process.Start(process.Spec{
		Path: program, Args: append([]string{"up", "-root", root, "-stack", name}, flags...),
		Env: environment(), Stdout: l.output, Stderr: l.output,
	})
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(pollEvery) {
		if l.State, err = stack.Find(root, name); err == nil && l.PID == l.process.PID() {
			return l, nil
		}
		select {
		case <-l.process.Done():
			return nil, fmt.Errorf("local up ended by itself:\n%s", l.output)
		default:
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("local up doesn't serve after %v:\n%s", startTimeout, l.output), l.stop())
		}
	}
}

// stop ends the stack as a user's kill would.
func (l *local) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return l.process.Stop(ctx, syscall.SIGTERM)
}

// seed makes the users table hold exactly the given number of rows.
func (l *local) seed(t *testing.T, rows int) {
	t.Helper()
	if l.rows == rows {
		return
	}
	if out, code := runLocal(t, nil, "seed", "-root", root, "-stack", l.Name, "-rows", fmt.Sprint(rows)); code != 0 {
		t.Fatalf("seed: status %d\n%s", code, out)
	}
	l.rows = rows
}

// runLocal runs a command of infra/local; see runCommand.
func runLocal(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	return runCommand(t, env, program, args...)
}

// runCommand runs a command to its end and returns what it wrote and its exit
// status. The settings in env go over this process's own.
func runCommand(t *testing.T, env []string, path string, args ...string) (string, int) {
	t.Helper()
	out := &output{}
	p, err := process.Start(process.Spec{Path: path, Args: args, Env: append(environment(), env...), Stdout: out, Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(runTimeout):
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		err := p.Stop(ctx, syscall.SIGTERM)
		t.Fatalf("%s %s: still runs after %v (then: %v)\n%s", path, strings.Join(args, " "), runTimeout, err, out)
	}
	return out.String(), p.ExitCode()
}

// clean removes what a stack that keeps its data has left.
func clean(t *testing.T, name string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		out, err := exec.CommandContext(ctx, program, "down", "-clean", "-root", root, "-stack", name).CombinedOutput()
		if err != nil {
			t.Errorf("clean up stack %s: %v\n%s", name, err, out)
		}
	})
}

// psql returns what psql prints for a statement run by the database's owner.
func (l *local) psql(t *testing.T, statement string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), l.PSQL, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", l.DatabaseURL, "--command", statement)
	cmd.Env = []string{"PGTZ=UTC", "PGDATESTYLE=ISO, YMD", "PGCLIENTENCODING=UTF8", "PATH=/usr/bin:/bin"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("psql %s: %v\n%s", statement, err, stderr.String())
	}
	return stdout.Bytes()
}

// eventually polls until done returns true, and fails the test after timeout.
func eventually(t *testing.T, timeout time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !done(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", timeout, what)
		}
	}
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
