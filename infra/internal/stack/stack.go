// Package stack starts, describes and ends the whole local stack: stand-ins,
// functions and routes, as template.yaml declares them.
package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"csvexport/infra/internal/gateway"
	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/resources"
	"csvexport/infra/internal/sam"
	"csvexport/infra/internal/template"
)

const closeTimeout = 10 * time.Second // for requests and invocations at work

// Config says how to start a stack.
type Config struct {
	Port        int       // of the routes; 0: any free one
	DatabaseURL string    // the user's own database; empty: start Postgres
	Emulator    Emulator  // what stands in for AWS
	DynamoDBURL string    // of a running emulator that has none itself; empty: it has
	Datasets    string    // absolute path of the file of datasets, or s3://BUCKET/KEY; empty: the service's own
	Out         io.Writer // gets a line for what takes long

	// Parameters are values of template.yaml's parameters. They go over the
	// stack's own, which let everybody in and name its servers.
	Parameters map[string]string

	// Intercept gives the functions, and nobody else, other endpoints than the
	// stand-ins' own; nil: those.
	Intercept func(localaws.Endpoints) (localaws.Endpoints, error)
	// InterceptDatabase does the same for the database's URL.
	InterceptDatabase func(url string) (string, error)
	RequestsOnly      bool // no message is delivered and no schedule fires

	// SAM has the SAM CLI run functions and routes, in containers; nil: the
	// stack runs them itself, as processes.
	SAM *SAM
}

// SAM says how to call the SAM CLI.
type SAM struct {
	Python      string // interpreter of an environment that has it
	InvokeImage string // image of the containers; empty for AWS's
}

func (cfg Config) interceptDatabase(url string) (string, error) {
	if cfg.InterceptDatabase == nil {
		return url, nil
	}
	return cfg.InterceptDatabase(url)
}

// Stack is a running stack.
type Stack struct {
	State State

	folder    *Folder
	out       io.Writer
	servers   *Servers
	resources string
	host      *lambda.Host // nil with the SAM CLI
	sam       *sam.Sam     // nil without
	deployed  Deployed
	remove    func(context.Context) error // deletes the resources, of an emulator that outlives the stack; nil: it doesn't
	https     []*http.Server
	workers   sync.WaitGroup // event sources, schedules, HTTP servers
	cancel    context.CancelFunc
	failed    chan error
}

// Start starts the stack of a folder. On an error nothing is left running.
func Start(ctx context.Context, f *Folder, cfg Config) (_ *Stack, err error) {
	routes, err := loopback.Listen(cfg.Port) // first: a taken port is the commonest failure
	if err != nil {
		return nil, err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Stack{folder: f, cancel: cancel, out: cfg.Out, failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop(context.WithoutCancel(ctx)), ignoreClosed(routes.Close()))
		}
	}()
	binaries := f.Path("functions")
	if err := s.prepare(ctx, cfg, binaries); err != nil {
		return nil, err
	}
	database, reader := cfg.DatabaseURL, cfg.DatabaseURL
	if own := s.servers.Postgres; own != nil {
		database, reader = own.URL, own.ReaderURL
	}
	if reader, err = cfg.interceptDatabase(reader); err != nil {
		return nil, err
	}
	declared, endpoints, err := s.deploy(ctx, cfg, reader, routes)
	if err != nil {
		return nil, err
	}
	if cfg.RequestsOnly {
		declared.EventSources, declared.Schedules = nil, nil
	}
	if err := s.connect(work, declared, endpoints); err != nil {
		return nil, err
	}
	s.State = s.describe(declared, endpoints, routes.Addr().String())
	s.State.DatabaseURL, s.State.ReaderURL, s.State.OwnDatabase = database, reader, s.servers.Postgres != nil
	s.State.Datasets, s.State.Emulator = cfg.Datasets, cfg.Emulator
	if err := s.publish(); err != nil {
		return nil, err
	}
	return s, nil
}

// deploy creates what the template declares and runs its functions and routes.
// It returns the declarations, and the endpoints with that of the functions.
func (s *Stack) deploy(ctx context.Context, cfg Config, reader string, routes net.Listener) (*template.Stack, localaws.Endpoints, error) {
	endpoints := s.servers.Endpoints
	parameters := cfg.parameters(endpoints, reader)
	if cfg.SAM != nil {
		if err := s.reachFromContainers(ctx, cfg.SAM, reader, parameters); err != nil {
			return nil, endpoints, err
		}
	}
	declared, err := s.folder.load(endpoints, parameters)
	if err != nil {
		return nil, endpoints, err
	}
	if cfg.Emulator.Running() && s.folder.ephemeral {
		s.remove = func(ctx context.Context) error { return resources.Delete(ctx, endpoints, declared) }
		if err := s.remove(ctx); err != nil {
			return nil, endpoints, err
		}
	}
	if err := resources.Create(ctx, endpoints, declared); err != nil {
		return nil, endpoints, err
	}
	if cfg.SAM == nil {
		endpoints.Lambda, err = s.runFunctions(cfg, declared, routes)
		return declared, endpoints, err
	}
	if declared, err = s.shareDatasets(ctx, declared, parameters); err != nil {
		return nil, endpoints, err
	}
	endpoints.Lambda, err = s.runSAM(ctx, declared, parameters, routes)
	return declared, endpoints, err
}

// runFunctions runs the functions as processes, and returns the base URL of
// their Invoke API.
func (s *Stack) runFunctions(cfg Config, declared *template.Stack, routes net.Listener) (string, error) {
	invoke, err := loopback.Listen(0)
	if err != nil {
		return "", err
	}
	seen := s.servers.Endpoints
	if cfg.Intercept != nil {
		if seen, err = cfg.Intercept(seen); err != nil {
			return "", errors.Join(err, invoke.Close())
		}
	}
	binaries := s.folder.Path("functions")
	s.host = s.lambdaHost(binaries, declared, seen)
	s.serve(invoke, s.host)
	s.serve(routes, gateway.New(gateway.Config{
		Routes: declared.Routes, Responses: declared.GatewayResponses, Preflight: declared.Preflight,
		Invoke: s.host.Invoke, Region: localaws.Region, AccountID: localaws.AccountID, APIID: s.folder.Name,
	}))
	s.deployed = Deployed{
		Host: s.host, Functions: lambdaFunctions(binaries, declared.Functions),
		Routes: declared.Routes, EventSources: declared.EventSources, Schedules: declared.Schedules,
	}
	return "http://" + invoke.Addr().String(), nil
}

// Deployed is what a stack runs and what runs it, also if nothing but requests
// is delivered. With the SAM CLI it is empty.
type Deployed struct {
	Host         *lambda.Host
	Functions    []lambda.Function
	Routes       []template.Route
	EventSources []template.EventSource
	Schedules    []template.Schedule
}

// Function finds a function by its logical ID.
func (d Deployed) Function(id string) (lambda.Function, bool) {
	for _, f := range d.Functions {
		if f.LogicalID == id {
			return f, true
		}
	}
	return lambda.Function{}, false
}

// Deployed is valid until Stop.
func (s *Stack) Deployed() Deployed { return s.deployed }

// prepare checks the template, builds the functions and starts the servers, the
// latter two at the same time.
func (s *Stack) prepare(ctx context.Context, cfg Config, binaries string) error {
	declared, err := s.folder.load(localaws.Endpoints{}, cfg.parameters(localaws.Endpoints{}, ""))
	if err != nil {
		return err
	}
	if s.resources, err = fingerprint(declared); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(s.folder.Path("tmp")), os.MkdirAll(s.folder.Path("tmp"), 0o755)); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	fmt.Fprintln(cfg.Out, "building the functions")
	if cfg.SAM == nil {
		group.Go(func() error { return build(ctx, s.folder.Root, binaries, declared.Functions) })
	} else {
		group.Go(func() error { return s.samConfig(cfg.SAM).Build(ctx, cfg.Parameters) })
	}
	group.Go(func() (err error) {
		s.servers, err = s.folder.StartServers(ctx, ServersConfig{
			OwnDatabase: cfg.DatabaseURL == "", Emulator: cfg.Emulator, DynamoDBURL: cfg.DynamoDBURL, Resources: s.resources, Out: cfg.Out,
		})
		return err
	})
	return group.Wait()
}

// parameters are the template's: the stack's own, and over them those given.
func (cfg Config) parameters(endpoints localaws.Endpoints, reader string) map[string]string {
	parameters := map[string]string{
		"DatabaseUrl": reader, "S3PublicUrl": endpoints.S3, "Datasets": cfg.Datasets, "AuthMode": "none", "AllowAnonymous": "true",
		"WebhookAddresses": "any", // receivers are on this machine, too
	}
	maps.Copy(parameters, cfg.Parameters)
	return parameters
}

// load reads the template.
func (f *Folder) load(endpoints localaws.Endpoints, parameters map[string]string) (*template.Stack, error) {
	return template.Load(filepath.Join(f.Root, "template.yaml"), template.Options{
		StackName: f.Name, Region: localaws.Region, AccountID: localaws.AccountID, QueueURL: endpoints.QueueURL,
		Parameters: parameters,
	})
}

// fingerprint names the declarations of what holds state.
func fingerprint(declared *template.Stack) (string, error) {
	text, err := json.Marshal([]any{declared.Tables, declared.Queues, declared.Buckets})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// RestartPostgres ends the stack's own Postgres as its administrator would, by a
// fast shutdown, and starts it again on the same port.
func (s *Stack) RestartPostgres(ctx context.Context) error {
	return s.servers.restartPostgres(ctx, s.folder, s.out)
}

// serve serves handler until Stop.
func (s *Stack) serve(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.https = append(s.https, server)
	s.workers.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
	})
}

func (s *Stack) describe(declared *template.Stack, endpoints localaws.Endpoints, routes string) State {
	state := State{
		Name: s.folder.Name, BaseURL: "http://" + routes, Functions: "processes", HostAddress: loopback.Host, Endpoints: endpoints, PSQL: s.servers.PSQL,
		Logs: s.folder.Path("logs"), Temp: s.folder.Path("tmp"), PID: os.Getpid(), Processes: s.folder.Processes(),
	}
	if s.sam != nil {
		state.BaseURL, state.Functions, state.HostAddress = s.sam.APIURL, "sam", s.sam.HostAddress
	}
	for _, t := range declared.Tables {
		state.Table = t.Name
	}
	for _, b := range declared.Buckets {
		state.Bucket = b.Name
	}
	for _, q := range declared.Queues {
		switch q.LogicalID {
		case "Queue":
			state.QueueURL = q.URL
		case "NotifyQueue":
			state.NotifyQueueURL = q.URL
		case "DeadLetterQueue":
			state.DeadLetterQueueURL = q.URL
		}
	}
	return state
}

func (s *Stack) publish() error {
	self, err := identify("local", s.State.PID)
	if err != nil {
		return err
	}
	s.State.Identity = self.Identity
	return writeJSON(s.folder.Path(stateFile), s.State)
}

// Wait blocks until ctx is done, which is no error, or a part of the stack ends by itself.
func (s *Stack) Wait(ctx context.Context) error {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case <-ctx.Done():
		return nil
	case name := <-s.ended(watch):
		return fmt.Errorf("%s has ended by itself: see %s", name, s.State.Logs)
	case err := <-s.failed:
		return err
	}
}

// ended returns a channel that gets the name of a part that ends by itself. It
// is valid until Stop.
func (s *Stack) ended(ctx context.Context) <-chan string {
	all := s.servers.running()
	if s.sam != nil {
		maps.Copy(all, s.sam.Running())
	}
	ended := make(chan string, len(all))
	for name, done := range all {
		go func() {
			select {
			case <-done:
				ended <- name
			case <-ctx.Done():
			}
		}()
	}
	return ended
}

// Stop ends everything, in the reverse order of the start, even if something fails.
func (s *Stack) Stop(ctx context.Context) error {
	err := remove(s.folder.Path(stateFile))
	s.cancel()
	bounded, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if s.host != nil {
		err = errors.Join(err, s.host.Close(bounded)) // requests at work end with their functions
	}
	if s.sam != nil {
		err = errors.Join(err, s.sam.Close(context.WithoutCancel(ctx)))
	}
	for _, server := range s.https {
		if shutdown := server.Shutdown(bounded); shutdown != nil {
			err = errors.Join(err, server.Close())
		}
	}
	s.workers.Wait()
	if s.servers == nil {
		return err
	}
	if s.remove != nil {
		err = errors.Join(err, s.remove(ctx))
	}
	stopped := s.servers.Stop(ctx)
	if stopped == nil {
		stopped = s.folder.keep(s.servers)
	}
	return errors.Join(err, stopped)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
