package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"csvexport/infra/internal/demo"
	"csvexport/infra/internal/stack"
)

// runDemo makes one export on the running stack, or on one that it starts for
// that, and prints "demo: ok …" only if the file is right.
func runDemo(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	var result demo.Result
	export := func(state stack.State) (err error) {
		result, err = exportOn(ctx, opt, state, stderr)
		return err
	}
	state, err := stack.Find(opt.root, opt.stack)
	switch {
	case err == nil && opt.databaseURL != "" && opt.databaseURL != state.DatabaseURL:
		err = fmt.Errorf("the stack %q runs on another database: stop it with `make down` first", opt.stack)
	case err == nil && opt.emulatorName != "" && opt.emulator != state.Emulator:
		err = fmt.Errorf("the stack %q runs with another emulator: stop it with `make down` first", opt.stack)
	case err == nil && opt.datasets != "" && opt.datasets != state.Datasets:
		err = fmt.Errorf("the stack %q runs with other datasets: stop it with `make down` first", opt.stack)
	case err == nil:
		fmt.Fprintf(stderr, "using the running stack %q\n", opt.stack)
		err = export(state)
	case errors.Is(err, stack.ErrNotRunning):
		err = withStack(ctx, opt, stderr, func(s *stack.Stack) error { return export(s.State) })
	}
	if errors.Is(err, errInterrupted) {
		return err
	}
	if err != nil {
		fmt.Fprintln(stdout, "demo: FAILED", err)
		return errReported
	}
	fmt.Fprintln(stdout, result)
	return nil
}

func exportOn(ctx context.Context, opt options, state stack.State, stderr io.Writer) (demo.Result, error) {
	db := state.DB()
	if state.OwnDatabase {
		if err := fillUsers(ctx, opt, db, stderr); err != nil {
			return demo.Result{}, err
		}
	}
	rows, err := db.Count(ctx, "users")
	if err != nil {
		return demo.Result{}, fmt.Errorf("count the users: %w", err)
	}
	return demo.Run(ctx, demo.Config{
		BaseURL: state.BaseURL, DB: db, Rows: rows, Out: stderr,
		Downloads: filepath.Join(filepath.Dir(state.Logs), "downloads"), Logs: func() ([]string, error) { return state.LogFiles("run-export") },
	})
}
