// Package process starts child processes that cannot outlive the local stack.
//
// Every process leads a process group of its own, so that it can be ended
// together with what it started and a Ctrl-C in the terminal reaches the stack
// alone. On Linux it is also killed by the kernel when the stack itself dies,
// even by SIGKILL. Elsewhere a killed stack leaves its children behind; they
// are found again by process id and [Identity].
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// outputGrace bounds how long a process that has ended is held back by
// descendants that left its group and still hold its stdout or stderr open.
const outputGrace = 2 * time.Second

// Spec says what to start.
type Spec struct {
	Path       string      // the program; looked up in PATH if it holds no slash
	Args       []string    // without the program's name
	Env        []string    // the whole environment, as KEY=value; nothing is inherited
	Dir        string      // working directory; empty for the parent's
	Stdout     io.Writer   // nil discards
	Stderr     io.Writer   // nil discards; may be the same writer as Stdout
	Credential *Credential // nil keeps the parent's user
}

// Credential is another user to run as, which only root may ask for. The
// process gets no supplementary groups.
type Credential struct{ UID, GID uint32 }

// Process is a started process. Its methods may be called at any time, from
// any goroutine.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; set before done is closed

	mu    sync.Mutex
	ended bool // the process id may belong to somebody else
}

// Start starts a process. It ends by itself or by [Process.Kill] or
// [Process.Stop]; its resources are released then, whether or not Wait is called.
func Start(spec Spec) (*Process, error) {
	cmd := exec.Command(spec.Path, spec.Args...) //nolint:noctx // it lives until Kill or Stop, whatever context started it
	cmd.Env = append([]string{}, spec.Env...)    // nil would inherit
	cmd.Dir = spec.Dir
	cmd.Stdout, cmd.Stderr = spec.Stdout, spec.Stderr
	cmd.WaitDelay = outputGrace
	cmd.SysProcAttr = attributes()
	if c := spec.Credential; c != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID}
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Path, err)
	}
	return p, nil
}

// run starts the process and reaps it from one locked thread: Linux ties the
// parent-death signal to the thread that forked (prctl(2), PR_SET_PDEATHSIG),
// so that thread must live as long as the child. Waiting blocks a thread in
// any case, which makes the lock free of cost.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.await()
	close(p.done)
}

// PID is the process id, which is also the id of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended and its output is written.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait blocks until the process has ended and its output is written. It
// returns nil for exit status 0, else an [exec.ExitError].
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// ExitCode is the exit status of a process that has ended: -1 if a signal
// ended it or it still runs.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// Kill ends the process and its group with SIGKILL. It does not wait, and does
// nothing if the process has ended.
func (p *Process) Kill() { p.signal(-p.PID(), syscall.SIGKILL) }

// Stop sends sig to the process alone and waits for its end. When ctx is done
// first, it kills the whole group. The process has ended when Stop returns; the
// error is ctx's cause if it had to be killed.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal) error {
	p.signal(p.PID(), sig)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		<-p.done
		return fmt.Errorf("process %d had to be killed: %w", p.PID(), context.Cause(ctx))
	}
}

// signal sends sig to target unless the process id may have been reused.
func (p *Process) signal(target int, sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		// The one possible error is that nobody is left to signal.
		_ = syscall.Kill(target, sig)
	}
}

// end kills what is left of the group and forbids signals from then on.
func (p *Process) end() {
	p.Kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

// Identity returns an opaque value that stays the same for as long as the
// process lives and differs once its id belongs to another one, also after a
// reboot. The error is [os.ErrProcessDone] if no such process runs.
func Identity(pid int) (string, error) {
	if pid <= 0 {
		return "", fmt.Errorf("process id %d: %w", pid, os.ErrProcessDone)
	}
	return identity(pid)
}

// Running reports whether the process that had this identity still runs.
func Running(pid int, identity string) bool {
	now, err := Identity(pid)
	return err == nil && now == identity
}

// SignalIfSame sends sig to the process if its identity is still the given
// one, and does nothing otherwise.
func SignalIfSame(pid int, identity string, sig syscall.Signal) error {
	return signalIfSame(pid, pid, identity, sig)
}

// KillIfSame ends the process with SIGKILL if its identity is still the given
// one, together with its group if it leads one, and does nothing otherwise. It
// does not wait for the end; see [Running].
func KillIfSame(pid int, identity string) error {
	target := pid
	if group, err := syscall.Getpgid(pid); err == nil && group == pid {
		target = -pid
	}
	return signalIfSame(target, pid, identity, syscall.SIGKILL)
}

func signalIfSame(target, pid int, identity string, sig syscall.Signal) error {
	now, err := Identity(pid)
	if errors.Is(err, os.ErrProcessDone) || err == nil && now != identity {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscall.Kill(target, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}
