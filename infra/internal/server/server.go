// Package server starts a program that serves one loopback port, and answers
// only once the program does.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
)

const (
	startTimeout = 60 * time.Second // of one try, until it answers
	tries        = 3                // a free port may be lost between choosing and binding it
	probeEvery   = 20 * time.Millisecond
)

// Spec says what to start.
type Spec struct {
	Name    string                                    // for messages, as "Postgres"
	Port    int                                       // preferred; 0 or taken means any free one
	LogFile string                                    // gets stdout and stderr; truncated
	Command func(port int) process.Spec               // stdout and stderr are set by Start
	Ready   func(ctx context.Context, port int) error // nil once the server answers; asked again and again
	Started func(name string, pid int) error          // called as soon as the process exists; nil for none
}

// Server is a program that has answered at least once.
type Server struct {
	Port int

	name string
	proc *process.Process
	log  *os.File
}

// Start starts the program and waits until it is ready. A program that ends
// before that is tried again on another port. On an error, also of ctx,
// nothing is left running; the error holds the log's last lines.
func Start(ctx context.Context, spec Spec) (*Server, error) {
	preferred := spec.Port
	var err error
	for range tries {
		var port int
		if port, err = loopback.FreePort(preferred); err != nil {
			return nil, err
		}
		var s *Server
		if s, err = start(ctx, spec, port); err == nil {
			return s, nil
		}
		if !errors.Is(err, errEnded) {
			return nil, err
		}
		preferred = 0
	}
	return nil, err
}

var errEnded = errors.New("it ended before it was ready")

func start(ctx context.Context, spec Spec, port int) (_ *Server, err error) {
	log, err := os.Create(spec.LogFile)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	cmd := spec.Command(port)
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := process.Start(cmd)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s := &Server{Port: port, name: spec.Name, proc: proc, log: log}
	defer func() {
		if err != nil {
			proc.Kill()
			<-proc.Done()
			err = errors.Join(err, log.Close())
		}
	}()
	if spec.Started != nil {
		if err := spec.Started(spec.Name, proc.PID()); err != nil {
			return nil, err
		}
	}
	if err := s.await(ctx, spec.Ready); err != nil {
		return nil, fmt.Errorf("start %s: %w%s", spec.Name, err, tail(spec.LogFile))
	}
	return s, nil
}

func (s *Server) await(ctx context.Context, ready func(context.Context, int) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := ready(ctx, s.Port)
		select {
		case <-s.proc.Done():
			return errEnded
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w (last answer: %w)", context.Cause(ctx), err)
		case <-s.proc.Done():
			return errEnded
		case <-tick.C:
		}
	}
}

// Done is closed once the program has ended.
func (s *Server) Done() <-chan struct{} { return s.proc.Done() }

// Name is the name from the Spec.
func (s *Server) Name() string { return s.name }

// PID is the program's process id.
func (s *Server) PID() int { return s.proc.PID() }

// Stop sends sig and waits for the end; when ctx is done first, the program is
// killed. It has ended when Stop returns. The error says that it was killed.
func (s *Server) Stop(ctx context.Context, sig syscall.Signal) error {
	err := s.proc.Stop(ctx, sig)
	if err != nil {
		err = fmt.Errorf("stop %s: %w", s.name, err)
	}
	return errors.Join(err, s.log.Close())
}

// Kill ends the program and what it started at once. It does not wait.
func (s *Server) Kill() { s.proc.Kill() }

// End kills the program, waits for its end and closes its log: for a program
// that has nothing to save.
func (s *Server) End() error {
	s.Kill()
	<-s.Done()
	return s.log.Close()
}

// HTTPReady is a Ready function: the path answers 200.
func HTTPReady(path string) func(context.Context, int) error {
	return HTTPAnswers(path, http.StatusOK)
}

// HTTPAnswers is a Ready function: the path answers with that status.
func HTTPAnswers(path string, status int) func(context.Context, int) error {
	return func(ctx context.Context, port int) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, loopback.URL(port)+path, nil)
		if err != nil {
			return err
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != status {
			err = fmt.Errorf("%s answers %s", path, resp.Status)
		}
		return errors.Join(err, resp.Body.Close())
	}
}

// tail returns the log's last lines, to be put behind an error.
func tail(file string) string {
	const lines = 8
	text, err := os.ReadFile(file)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return "; log: " + file
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "; log: " + file + "\n  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}
