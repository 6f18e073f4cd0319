// Package dynamodblocal runs DynamoDB Local, AWS's own engine, on loopback.
//
// It keeps nothing: its tables go with its process.
package dynamodblocal

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/server"
)

// Config says where it lives.
type Config struct {
	Install Install
	Dir     string   // its folder
	LogFile string   // truncated at the start
	Args    []string // those that it has in a container, too, without its port; see docker-compose.yml
	Started func(name string, pid int) error
}

// Server is a running DynamoDB Local.
type Server struct {
	URL string

	server *server.Server
}

// jvm keeps it small and starts it fast: several run at once, and none for long.
var jvm = []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"}

// Start starts DynamoDB Local.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("start DynamoDB Local: %w", err)
	}
	srv, err := server.Start(ctx, server.Spec{
		Name: "DynamoDB Local", LogFile: cfg.LogFile, Started: cfg.Started,
		Command: func(port int) process.Spec {
			args := append([]string{}, jvm...)
			args = append(args, "-Djava.io.tmpdir="+cfg.Dir, "-Duser.home="+cfg.Dir, "-cp", cfg.Install.classpath(), "Loopback")
			args = append(append(args, cfg.Args...), "-port", strconv.Itoa(port))
			return process.Spec{Path: cfg.Install.Java, Args: args, Dir: cfg.Dir, Env: []string{"PATH=/usr/bin:/bin", "HOME=" + cfg.Dir}}
		},
		Ready: server.HTTPAnswers("/", http.StatusBadRequest), // a request without a signature
	})
	if err != nil {
		return nil, err
	}
	return &Server{URL: loopback.URL(srv.Port), server: srv}, nil
}

// Done is closed once it has ended.
func (s *Server) Done() <-chan struct{} { return s.server.Done() }

// Stop ends it at once: it has nothing to save.
func (s *Server) Stop(context.Context) error {
	return s.server.End()
}

// Install is an installation that Ensure made.
type Install struct {
	Dir  string
	Java string // path of the JVM
}

func (i Install) classpath() string {
	return filepath.Join(i.Dir, "classes") + string(os.PathListSeparator) + filepath.Join(i.Dir, "lib", "*")
}

// Args are the arguments in the command of AWS's own image: what stands behind
// -jar DynamoDBLocal.jar.
func Args(command []string) []string {
	if len(command) < 2 {
		return nil
	}
	return command[2:]
}
