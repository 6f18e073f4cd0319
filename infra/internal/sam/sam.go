// Package sam runs the functions and routes of a template by the SAM CLI: in
// containers, by `sam local start-api` and `sam local start-lambda`.
package sam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"csvexport/infra/internal/docker"
	"csvexport/infra/internal/link"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/server"
	"csvexport/infra/internal/template"
)

const (
	// hostName is what functions in containers call this machine. Docker Desktop
	// knows the name; elsewhere the containers are told it.
	hostName = "host.docker.internal"
	// label marks the containers that sam local starts (samcli, lambda_container.py).
	label       = "sam.cli.container.type=lambda"
	stopTimeout = 30 * time.Second
)

// Config is what a Sam needs.
type Config struct {
	Python      string // interpreter of an environment that has aws-sam-cli
	Root        string // the project's folder
	Dir         string // for the build and settings; absolute
	LogDir      string
	InvokeImage string // image that containers are made of; empty for AWS's, which sam pulls
	Endpoints   localaws.Endpoints
	DatabaseURL string // as this machine reaches it
	Started     func(name string, pid int) error
}

// Sam runs a stack's functions. Between New and Close its containers reach this
// machine's servers; Start may then be called once.
type Sam struct {
	// What functions in containers must use: the one endpoint of all AWS
	// services, and the database.
	EndpointURL, DatabaseURL string
	// HostAddress is this machine's address, as containers reach it.
	HostAddress string

	APIURL, LambdaURL string // set by Start

	config   Config
	docker   docker.Client
	door     *door
	database *link.Link
	api      *server.Server
	lambda   *server.Server
}

// New finds the Docker engine, the shell's own, and opens ways from its containers to this
// machine's servers.
func New(ctx context.Context, config Config) (_ *Sam, err error) {
	s := &Sam{config: config, docker: docker.Client{Env: os.Environ()}}
	if err := s.docker.Ping(ctx); err != nil {
		return nil, fmt.Errorf("the SAM CLI runs functions in containers, and no Docker engine answers: %w", err)
	}
	s.HostAddress = loopback.Host
	if runtime.GOOS == "linux" {
		if s.HostAddress, err = s.docker.Gateway(ctx); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	if s.door, err = openDoor(s.HostAddress, hostName, config.Endpoints); err != nil {
		return nil, err
	}
	s.EndpointURL = s.door.URL
	s.DatabaseURL, err = s.openDatabase(config.DatabaseURL)
	return s, err
}

// Parameters are the template's that functions in containers need.
func (s *Sam) Parameters() map[string]string {
	return map[string]string{"AwsEndpointUrl": s.EndpointURL, "DatabaseUrl": s.DatabaseURL, "DatabaseTls": "url"}
}

// Build compiles the functions as sam deploys them, for Start. It needs neither
// endpoints nor the database.
func (c Config) Build(ctx context.Context, parameters map[string]string) error {
	args := []string{"-m", "samcli", "build", "--template", filepath.Join(c.Root, "template.yaml"), "--build-dir", c.build()}
	cmd := exec.CommandContext(ctx, c.Python, append(args, overrides(parameters)...)...)
	cmd.Dir = c.Root
	cmd.Env = append(c.environment(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -tags=lambda.norpc -ldflags=-s")
	output, err := process.Run(ctx, cmd)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("sam build: %w\n%s", err, output)
	}
	return err
}

// Start serves the routes on a port, 0 for any free one, and the Lambda Invoke
// API on another, for the functions with the settings that they are given. What
// an earlier Sam of the same folder left is removed first.
func (s *Sam) Start(ctx context.Context, port int, functions []template.Function, parameters map[string]string) (err error) {
	if err := s.docker.RemoveContainers(ctx, label, s.config.Dir); err != nil {
		return err
	}
	settings := filepath.Join(s.config.Dir, "env.json")
	if err := writeSettings(settings, functions); err != nil {
		return err
	}
	args := []string{
		"--template", filepath.Join(s.config.build(), "template.yaml"), "--env-vars", settings, "--host", loopback.Host,
		// A container for each function, which stays. Without it each request takes one of its own, and a second. LAZY
		// starts them at the first request, and fails others that come at the same time (samcli 1.170).
		"--warm-containers", "EAGER", "--no-watch", "--layer-cache-basedir", filepath.Join(s.config.Dir, "layers"),
	}
	if s.config.InvokeImage != "" {
		args = append(args, "--invoke-image", s.config.InvokeImage, "--skip-pull-image")
	}
	if s.HostAddress != loopback.Host {
		args = append(args, "--add-host", hostName+":"+s.HostAddress)
	}
	args = append(args, overrides(parameters)...)
	if s.lambda, err = s.serve(ctx, "start-lambda", 0, args); err != nil {
		return err
	}
	if s.api, err = s.serve(ctx, "start-api", port, args); err != nil {
		return err
	}
	s.APIURL, s.LambdaURL = loopback.URL(s.api.Port), loopback.URL(s.lambda.Port)
	return nil
}

func (s *Sam) serve(ctx context.Context, command string, port int, args []string) (*server.Server, error) {
	return server.Start(ctx, server.Spec{
		Name: "sam local " + command, Port: port, LogFile: filepath.Join(s.config.LogDir, "sam-"+command+".log"), Started: s.config.Started,
		Command: func(port int) process.Spec {
			return process.Spec{
				Path: s.config.Python, Dir: s.config.Root, Env: s.config.environment(),
				Args: slices.Concat([]string{"-m", "samcli", "local", command}, args, []string{"--port", fmt.Sprint(port)}),
			}
		},
		Ready: answers,
	})
}

// answers is a server's Ready function: whatever it answers to an unknown path, which starts no container.
func answers(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, loopback.URL(port)+"/no/such/route", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// Running are the two servers by name, with a channel that is closed at each one's end.
func (s *Sam) Running() map[string]<-chan struct{} {
	return map[string]<-chan struct{}{s.api.Name(): s.api.Done(), s.lambda.Name(): s.lambda.Done()}
}

// Close ends the servers, their containers, also of functions at work, and the
// ways to this machine.
func (s *Sam) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var err error
	for _, srv := range []*server.Server{s.api, s.lambda} {
		if srv != nil {
			err = errors.Join(err, srv.Stop(ctx, syscall.SIGTERM))
		}
	}
	err = errors.Join(err, s.docker.RemoveContainers(ctx, label, s.config.Dir)) // sam forgets some
	if s.door != nil {
		err = errors.Join(err, s.door.close())
	}
	if s.database != nil {
		s.database.Close()
	}
	return err
}

func (c Config) build() string { return filepath.Join(c.Dir, "build") }

// environment is the shell's with the emulators' credentials and region in
// place of its settings for AWS.
func (c Config) environment() []string {
	env := c.Endpoints.Replace(os.Environ())
	return append(env, "SAM_CLI_TELEMETRY=0", "__SAM_CLI_APP_DIR="+c.Dir)
}

// writeSettings writes what sam's --env-vars takes: the functions' settings,
// since sam has other names for the template's resources than the stack.
func writeSettings(path string, functions []template.Function) error {
	settings := map[string]map[string]string{}
	for _, f := range functions {
		settings[f.LogicalID] = f.Environment
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// overrides is sam's option for the template's parameters. Functions are built
// for this machine's processors, and run on them, whatever they are in AWS.
func overrides(parameters map[string]string) []string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	list := []string{"Architecture=" + architecture()}
	for name, value := range parameters {
		if name != "Architecture" {
			list = append(list, name+`="`+quote.Replace(value)+`"`)
		}
	}
	slices.Sort(list)
	return []string{"--parameter-overrides", strings.Join(list, " ")}
}

func architecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}
