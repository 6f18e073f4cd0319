package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"csvexport/infra/internal/permissions"
	"csvexport/infra/internal/stack"
)

// up serves the stack until it is interrupted, which is no error.
func up(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	err := withStack(ctx, opt, stderr, func(s *stack.Stack) error {
		if err := firstUsers(ctx, opt, s.State, stderr); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "ready: %s, also for a browser\n\n  curl -i -X POST %s/exports/csv\n\nLogs are in %s. Stop with Ctrl-C.\n",
			s.State.BaseURL, s.State.BaseURL, s.State.Logs)
		return s.Wait(ctx)
	})
	if errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

// firstUsers fills the users table of a stack that has none yet, so that there
// is something to export. A database of the user's own is left alone.
func firstUsers(ctx context.Context, opt options, state stack.State, stderr io.Writer) error {
	if opt.rows == 0 || !state.OwnDatabase {
		return nil
	}
	absent, err := state.DB().Value(ctx, "SELECT to_regclass('users') IS NULL")
	if err != nil || absent != "t" {
		return err
	}
	return fillUsers(ctx, opt, state.DB(), stderr)
}

// withStack starts the stack, calls f with it and ends it.
func withStack(ctx context.Context, opt options, stderr io.Writer, f func(*stack.Stack) error) (err error) {
	if opt.datasets != "" && !strings.HasPrefix(opt.datasets, "s3://") {
		if _, err := os.Stat(opt.datasets); err != nil {
			return fmt.Errorf("the file of datasets: %w", err)
		}
	}
	folder, err := stack.Open(opt.root, opt.stack, opt.ephemeral)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	run, err := opt.sam()
	if err != nil {
		return err
	}
	cfg := stack.Config{
		Port: opt.port, DatabaseURL: opt.databaseURL, Emulator: opt.emulator, DynamoDBURL: opt.dynamoDBURL, Datasets: opt.datasets,
		SAM: run, Parameters: opt.parameters, RequestsOnly: opt.requestsOnly, Out: stderr,
	}
	if opt.calls != "" {
		var calls *permissions.Recorder
		if calls, err = recordCalls(opt); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, calls.Close()) }()
		cfg.Intercept = calls.Intercept
	}
	begin := time.Now()
	fmt.Fprintf(stderr, "starting the stack %q: Postgres, %s and the functions\n", opt.stack, opt.emulator.Servers())
	s, err := stack.Start(ctx, folder, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "started in %.1f s\n", time.Since(begin).Seconds())
	err = f(s)
	fmt.Fprintf(stderr, "stopping the stack %q\n", opt.stack)
	return errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
}

// down stops the stack of that name.
func down(ctx context.Context, opt options, stderr io.Writer) error {
	return stack.Down(ctx, opt.root, opt.stack, opt.clean, stderr)
}

// parameters are the values of -param.
type parameters map[string]string

// String is flag.Value's; nothing is the default.
func (p *parameters) String() string { return "" }

// Set adds one NAME=VALUE; the value may be empty.
func (p *parameters) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("want NAME=VALUE")
	}
	if _, twice := (*p)[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	if *p == nil {
		*p = parameters{}
	}
	(*p)[name] = value
	return nil
}

// plenty are the quotas of a stack that is measured or tested: all requests
// are of one owner, whom the template's own would stop.
var plenty = map[string]string{"MaxActiveExports": "100000", "MaxCreatesPerMinute": "100000"}
