package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"csvexport/infra/internal/bench"
	"csvexport/infra/internal/copybench"
	"csvexport/infra/internal/stack"
)

// benchCopy compares an export with other ways to write a table as CSV, on a
// stack of its own, and prints the tables.
func benchCopy(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	var result copybench.Result
	err := onOwnStack(ctx, opt, stack.Config{Out: stderr, Parameters: plenty}, func(s *stack.Stack) (err error) {
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		result, err = copybench.Run(ctx, copybench.Config{
			Root: opt.root, Dir: filepath.Dir(s.State.Logs), State: s.State, Rows: opt.rows, Rounds: opt.rounds, Out: stderr,
		})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, result.Markdown())
	if err := result.WriteJSON(filepath.Join(opt.root, ".local", "bench.json")); err != nil {
		return err
	}
	if opt.write == "" {
		return nil
	}
	folder := filepath.Dir(opt.write)
	return errors.Join(
		result.PlotRows(filepath.Join(folder, "bench-rows.svg")),
		result.PlotMemory(filepath.Join(folder, "bench-memory.svg")),
		writeSection(opt, "bench", result.Markdown(), stderr),
	)
}

// benchMemory measures the memory of exports of tables of several sizes, on a
// stack of its own, and prints the tables.
func benchMemory(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	var result copybench.Memory
	err := onOwnStack(ctx, opt, stack.Config{Out: stderr, Parameters: plenty}, func(s *stack.Stack) (err error) {
		result, err = copybench.MeasureMemory(ctx, copybench.MemoryConfig{Root: opt.root, State: s.State, Rows: opt.rows, Out: stderr})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, result.Markdown())
	return writeSection(opt, "bench-memory", result.Markdown(), stderr)
}

// writeSection puts a command's tables into the section of its name of the file
// of -write; without one it does nothing.
func writeSection(opt options, name, text string, stderr io.Writer) error {
	if opt.write == "" {
		return nil
	}
	if err := bench.WriteSection(opt.write, name, text); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "written into %s\n", opt.write)
	return nil
}

// onOwnStack calls f with a new stack, which it then ends and removes.
func onOwnStack(ctx context.Context, opt options, cfg stack.Config, f func(*stack.Stack) error) (err error) {
	folder, err := stack.Open(opt.root, opt.stack, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	s, err := stack.Start(ctx, folder, cfg)
	if err != nil {
		return err
	}
	err = f(s)
	if ctx.Err() != nil { // whatever an interrupted part of it says
		err = context.Cause(ctx)
	}
	return errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
}
