package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/server"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("SERVER_TEST_LISTEN"); address != "" {
		fmt.Println("serving")
		if err := http.ListenAndServe(address, http.NotFoundHandler()); err != nil {
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// spec starts this test's own binary as a server whose every answer is 404.
func spec(t *testing.T) server.Spec {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return server.Spec{
		Name: "probe", LogFile: filepath.Join(t.TempDir(), "probe.log"),
		Command: func(port int) process.Spec {
			return process.Spec{Path: self, Env: []string{"SERVER_TEST_LISTEN=" + loopback.Addr(port)}}
		},
		Ready: func(ctx context.Context, port int) error {
			err := server.HTTPReady("/")(ctx, port)
			if err != nil && strings.Contains(err.Error(), "404") {
				return nil
			}
			return err
		},
	}
}

func stop(t *testing.T, s *server.Server) {
	t.Helper()
	if err := s.Stop(t.Context(), syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

func TestStart(t *testing.T) {
	sp := spec(t)
	pid := 0
	sp.Started = func(name string, p int) error { pid = p; return nil }
	s, err := server.Start(t.Context(), sp)
	if err != nil {
		t.Fatal(err)
	}
	if pid != s.PID() || s.Port == 0 {
		t.Errorf("Started got process %d, it is %d; port %d", pid, s.PID(), s.Port)
	}
	stop(t, s)
	if log, err := os.ReadFile(sp.LogFile); err != nil || string(log) != "serving\n" {
		t.Errorf("log %q, error %v", log, err)
	}
	if err := sp.Ready(t.Context(), s.Port); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Stop the port answers: %v", err)
	}
}

func TestStart_PreferredPortTaken(t *testing.T) {
	l, err := loopback.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sp := spec(t)
	sp.Port = l.Addr().(*net.TCPAddr).Port
	s, err := server.Start(t.Context(), sp)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	if s.Port == sp.Port {
		t.Errorf("it claims to serve the taken port %d", s.Port)
	}
}

func TestStart_EndsEarly(t *testing.T) {
	sp := spec(t)
	// Not by asking the port: it is free, so a test beside this one may serve it.
	sp.Ready = func(context.Context, int) error { return errors.New("nobody answers") }
	starts := 0
	sp.Command = func(int) process.Spec {
		starts++
		return process.Spec{Path: "/bin/sh", Args: []string{"-c", "echo the reason; exit 1"}, Env: []string{"PATH=/usr/bin:/bin"}}
	}
	_, err := server.Start(t.Context(), sp)
	if err == nil || !strings.Contains(err.Error(), "probe") || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("error %v names neither the server nor its last words", err)
	}
	if starts != 3 {
		t.Errorf("tried %d times, want 3", starts)
	}
}

func TestStart_Canceled(t *testing.T) {
	sp := spec(t)
	pid, identity := 0, ""
	sp.Started = func(_ string, p int) (err error) {
		pid = p
		identity, err = process.Identity(p)
		return err
	}
	sp.Ready = func(context.Context, int) error { return errors.New("never") }
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := server.Start(ctx, sp); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
	if process.Running(pid, identity) {
		t.Error("the process runs on")
	}
}
