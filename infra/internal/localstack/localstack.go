// Package localstack runs LocalStack, which stands in for S3, SQS and
// EventBridge, on loopback and without Docker.
//
// It keeps nothing: what it holds goes with its process.
package localstack

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/server"
)

// Config says where it lives.
type Config struct {
	Python   string            // interpreter of an environment that has LocalStack
	Launcher string            // infra/localstack/serve.py
	Dir      string            // its folder, emptied at the start; it writes nowhere else
	LogFile  string            // truncated at the start
	Settings map[string]string // those that it has in a container, too; see docker-compose.yml
	Started  func(name string, pid int) error
}

// Server is a running LocalStack.
type Server struct {
	URL string

	server *server.Server
}

// Start starts LocalStack.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	err := os.RemoveAll(cfg.Dir)
	if err == nil {
		err = os.MkdirAll(temporary(cfg.Dir), 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("start LocalStack: %w", err)
	}
	srv, err := server.Start(ctx, server.Spec{
		Name: "LocalStack", LogFile: cfg.LogFile, Started: cfg.Started,
		Command: func(port int) process.Spec {
			return process.Spec{Path: cfg.Python, Args: []string{"-I", cfg.Launcher}, Dir: cfg.Dir, Env: environment(cfg, port)}
		},
		Ready: server.HTTPReady("/_localstack/health"),
	})
	if err != nil {
		return nil, err
	}
	return &Server{URL: loopback.URL(srv.Port), server: srv}, nil
}

// environment holds the given settings and those that only a host needs: its
// folder instead of the container's file system, its port, no DNS server of its
// own, and nothing that is downloaded.
func environment(cfg Config, port int) []string {
	settings := maps.Clone(cfg.Settings)
	maps.Copy(settings, map[string]string{
		"PATH": "/usr/bin:/bin", "HOME": cfg.Dir, "TMPDIR": temporary(cfg.Dir), "PYTHONDONTWRITEBYTECODE": "1",
		"FILESYSTEM_ROOT": cfg.Dir, "GATEWAY_LISTEN": loopback.Addr(port), "LOCALSTACK_HOST": loopback.Host + ":" + strconv.Itoa(port),
		"DNS_ADDRESS": "0", "SKIP_SSL_CERT_DOWNLOAD": "1",
	})
	var env []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		env = append(env, key+"="+settings[key])
	}
	return env
}

func temporary(dir string) string { return filepath.Join(dir, "tmp") }

// Done is closed once LocalStack has ended.
func (s *Server) Done() <-chan struct{} { return s.server.Done() }

// Stop ends LocalStack at once: an orderly end takes seconds, and it has
// nothing to save.
func (s *Server) Stop(context.Context) error {
	return s.server.End()
}
