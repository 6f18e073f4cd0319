// Package emulator runs ministack, which stands in for SQS, DynamoDB and
// EventBridge, on loopback.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/server"
)

const stopTimeout = 10 * time.Second

// Config says where it lives.
type Config struct {
	Python  string // interpreter of an environment that has ministack
	Dir     string // its folder; queues and tables are kept there from one clean stop to the next start
	Port    int    // preferred; queues are known by a URL that holds it
	LogFile string
	Started func(name string, pid int) error // as in server.Spec
}

// Server is a running emulator.
type Server struct {
	URL  string
	Port int

	server *server.Server
}

// Start starts the emulator.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("start SQS and DynamoDB: %w", err)
	}
	srv, err := server.Start(ctx, server.Spec{
		Name: "SQS and DynamoDB", Port: cfg.Port, LogFile: cfg.LogFile, Started: cfg.Started,
		Command: func(port int) process.Spec {
			return process.Spec{Path: cfg.Python, Args: []string{"-I", "-m", "ministack"}, Dir: cfg.Dir, Env: environment(cfg.Dir, port)}
		},
		Ready: server.HTTPReady("/_ministack/ready"),
	})
	if err != nil {
		return nil, err
	}
	return &Server{URL: loopback.URL(srv.Port), Port: srv.Port, server: srv}, nil
}

// environment holds ministack's settings, as its app.py reads them, and nothing
// of the shell. Everything but the three services is off, Docker included.
func environment(dir string, port int) []string {
	return []string{
		"PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "PYTHONDONTWRITEBYTECODE=1",
		"BIND_HOST=" + loopback.Host, "MINISTACK_HOST=" + loopback.Host, "GATEWAY_PORT=" + strconv.Itoa(port),
		"SERVICES=sqs,dynamodb,events", "SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0", "DOCKER_HOST=unix://" + filepath.Join(dir, "no-docker"),
		"PERSIST_STATE=1", "STATE_DIR=" + stateDir(dir), "LOG_LEVEL=WARNING",
	}
}

func stateDir(dir string) string { return filepath.Join(dir, "state") }

// Saved reports whether a clean stop left queues and tables in dir.
func Saved(dir string) bool {
	found, err := filepath.Glob(filepath.Join(stateDir(dir), "dynamodb.json"))
	return err == nil && len(found) == 1
}

// Done is closed once the emulator has ended.
func (s *Server) Done() <-chan struct{} { return s.server.Done() }

// Stop ends the emulator, which then writes its state, within 10 s; later it is killed.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return s.server.Stop(ctx, syscall.SIGTERM)
}

// Remove deletes queues and tables of an emulator that does not run.
func Remove(dir string) error {
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the state of SQS and DynamoDB: %w", err)
	}
	return nil
}
