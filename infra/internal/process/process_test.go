package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"csvexport/infra/internal/process"
)

func TestMain(m *testing.M) {
	if os.Getenv("PROCESS_TEST_PARENT") != "" {
		parent()
		return
	}
	goleak.VerifyTestMain(m)
}

// parent starts a child, prints its process id and blocks until it is killed.
func parent() {
	child, err := process.Start(process.Spec{Path: "/bin/sleep", Args: []string{"600"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(child.PID())
	select {}
}

func start(t *testing.T, spec process.Spec) *process.Process {
	t.Helper()
	p, err := process.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	return p
}

func shell(script string, out io.Writer) process.Spec {
	return process.Spec{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Stdout: out}
}

// startTree starts a shell that runs before, starts a child of its own in the
// background and runs after. It returns once the child is there.
func startTree(t *testing.T, before, after string) (p *process.Process, child int, identity string) {
	t.Helper()
	read, write := io.Pipe()
	t.Cleanup(func() { _ = read.Close() })
	p = start(t, shell(before+"\nsleep 600 >/dev/null & echo $!\n"+after, write))
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if child, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	if identity, err = process.Identity(child); err != nil {
		t.Fatal(err)
	}
	return p, child, identity
}

func waitGone(t *testing.T, pid int, identity string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); process.Running(pid, identity); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

func TestStart(t *testing.T) {
	t.Setenv("AWS_PROFILE", "leaked")
	var out, errs bytes.Buffer
	spec := shell(`env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=; pwd; echo oops >&2; exit 3`, &out)
	spec.Env, spec.Dir, spec.Stderr = append(spec.Env, "GIVEN=1"), "/", &errs
	p := start(t, spec)
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || p.ExitCode() != 3 {
		t.Errorf("Wait: %v, exit code %d; want exit status 3", err, p.ExitCode())
	}
	lines := strings.Fields(out.String())
	want := map[string]bool{"PATH=/usr/bin:/bin": true, "GIVEN=1": true, "/": true}
	for _, line := range lines {
		if !want[line] {
			t.Errorf("unexpected output %q", line)
		}
	}
	if len(lines) != len(want) || errs.String() != "oops\n" {
		t.Errorf("stdout %q, stderr %q", out.String(), errs.String())
	}
}

func TestStart_MissingProgram(t *testing.T) {
	_, err := process.Start(process.Spec{Path: "/no/such/program"})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "start /no/such/program") {
		t.Errorf("error %v does not name the missing program", err)
	}
}

func TestKill_EndsGroup(t *testing.T) {
	p, child, identity := startTree(t, "", "wait")
	p.Kill()
	if err := p.Wait(); err == nil || p.ExitCode() != -1 {
		t.Errorf("Wait: %v, exit code %d; want a signal", err, p.ExitCode())
	}
	waitGone(t, child, identity)
	p.Kill() // harmless after the end
}

func TestStop(t *testing.T) {
	tests := map[string]struct {
		trap   string
		killed bool
	}{
		"obeys":   {`trap 'exit 0' TERM`, false},
		"resists": {`trap '' TERM`, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, child, identity := startTree(t, tt.trap, "while :; do sleep 0.01; done")
			timeout := 10 * time.Second
			if tt.killed {
				timeout = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			if err := p.Stop(ctx, syscall.SIGTERM); (err != nil) != tt.killed {
				t.Errorf("Stop: %v; want killed: %t", err, tt.killed)
			}
			select {
			case <-p.Done():
			default:
				t.Error("the process runs on after Stop")
			}
			waitGone(t, child, identity)
		})
	}
}

func TestIdentity(t *testing.T) {
	p, child, other := startTree(t, "", "wait")
	id, err := process.Identity(p.PID())
	if err != nil || id == "" || !process.Running(p.PID(), id) {
		t.Fatalf("identity %q, error %v", id, err)
	}
	if parent, err := process.Identity(os.Getppid()); err != nil || parent == id {
		t.Errorf("the process that runs the tests has the identity %q, error %v; the one that began now has %q", parent, err, id)
	}
	if again, _ := process.Identity(p.PID()); again != id {
		t.Errorf("identity changed from %q to %q", id, again)
	}
	if err := process.KillIfSame(p.PID(), id); err != nil {
		t.Error(err)
	}
	_ = p.Wait()
	waitGone(t, child, other) // with its group
	if _, err := process.Identity(p.PID()); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("identity of an ended process: %v", err)
	}
	if err := process.KillIfSame(p.PID(), id); err != nil {
		t.Errorf("killing an ended process: %v", err)
	}
}

func TestSignalIfSame(t *testing.T) {
	p, _, _ := startTree(t, "trap 'exit 7' TERM", "while :; do sleep 0.01; done")
	id, err := process.Identity(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		process.KillIfSame(p.PID(), id+"0"), process.SignalIfSame(p.PID(), id+"0", syscall.SIGKILL), // another process's
		process.SignalIfSame(p.PID(), id, syscall.SIGTERM),
	); err != nil {
		t.Error(err)
	}
	if _ = p.Wait(); p.ExitCode() != 7 {
		t.Errorf("%v, want exit status 7, by the one signal with the right identity", p.Wait())
	}
}

// What an earlier run of the stack left behind is no child of this one.
func TestKillIfSame_GroupOfAStranger(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "sleep 600 >/dev/null & echo $!; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	childID, err := process.Identity(child)
	if err != nil {
		t.Fatal(err)
	}
	id, err := process.Identity(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.KillIfSame(cmd.Process.Pid, id); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	waitGone(t, child, childID)
}
