// Package objectstore runs versitygw, which stands in for S3, on loopback.
//
// The gateway changes its process's working directory and allows one instance
// per process, so that it runs in a child process: the starter's own
// executable, which calls [Serve].
package objectstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/server"
)

const (
	healthPath  = "/healthz"
	stopTimeout = 10 * time.Second
)

// Credentials of the one account, beside which roles are assumed; request signatures are checked against them.
type Credentials struct{ AccessKey, SecretKey, Region string }

// Config says where it lives.
type Config struct {
	Command     []string // program and first arguments of a process that calls Serve with the arguments behind them
	Dir         string   // objects and metadata; survives restarts
	Port        int      // preferred
	LogFile     string
	Credentials Credentials
	Started     func(name string, pid int) error // as in server.Spec
}

// Server is a running gateway.
type Server struct {
	URL  string
	Port int

	server *server.Server
}

// Start starts the gateway in a child process.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	for _, dir := range []string{objects(cfg.Dir), metadata(cfg.Dir)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("start S3: %w", err)
		}
	}
	srv, err := server.Start(ctx, server.Spec{
		Name: "S3", Port: cfg.Port, LogFile: cfg.LogFile, Started: cfg.Started,
		Command: func(port int) process.Spec {
			args := append([]string{}, cfg.Command[1:]...)
			c := cfg.Credentials
			args = append(args, cfg.Dir, strconv.Itoa(port), c.AccessKey, c.SecretKey, c.Region)
			return process.Spec{Path: cfg.Command[0], Args: args, Env: []string{"PATH=/usr/bin:/bin"}, Dir: cfg.Dir}
		},
		Ready: server.HTTPReady(healthPath),
	})
	if err != nil {
		return nil, err
	}
	return &Server{URL: loopback.URL(srv.Port), Port: srv.Port, server: srv}, nil
}

// Done is closed once the gateway has ended.
func (s *Server) Done() <-chan struct{} { return s.server.Done() }

// Stop ends the gateway within 10 s; later it is killed.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return s.server.Stop(ctx, syscall.SIGTERM)
}

// Remove deletes all buckets of a gateway that does not run.
func Remove(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the objects of S3: %w", err)
	}
	return nil
}

// Serve is the child's main function: it serves until ctx is done. The
// arguments are those that Start puts behind Config.Command.
func Serve(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("serve S3: %d arguments, want folder, port, access key, secret key, region", len(args))
	}
	dir, port := args[0], args[1]
	store, err := meta.NewSideCar(metadata(dir))
	if err != nil {
		return fmt.Errorf("serve S3: %w", err)
	}
	backend, err := posix.New(objects(dir), store, posix.PosixOpts{SideCarDir: metadata(dir), Concurrency: 64})
	if err != nil {
		return fmt.Errorf("serve S3: %w", err)
	}
	const connections = 1024
	err = embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess: args[2], RootUserSecret: args[3], Region: args[4],
		IAMService:     newAccounts(Credentials{AccessKey: args[2], SecretKey: args[3]}),
		Ports:          []string{loopback.Host + ":" + port},
		MaxConnections: connections, MaxRequests: connections, MultipartMaxParts: 10_000,
		KeepAlive: true, Quiet: true, HealthPath: healthPath,
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// The metadata's folder must not begin with the path of the objects' folder:
// the gateway takes that for being inside of it.
func objects(dir string) string  { return filepath.Join(dir, "objects") }
func metadata(dir string) string { return filepath.Join(dir, "metadata") }
