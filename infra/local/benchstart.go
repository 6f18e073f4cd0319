package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"csvexport/infra/internal/bench"
	"csvexport/infra/internal/stack"
)

// startRows is the size of the table of the exports that bench-start makes.
const startRows = 1000

// benchStart measures cold starts and warm answers of every function on a
// stack of its own, and prints the tables.
func benchStart(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	result := bench.StartResult{When: time.Now()}
	opt.rows = startRows
	err := onOwnStack(ctx, opt, stack.Config{Out: stderr, Parameters: plenty, RequestsOnly: true}, func(s *stack.Stack) (err error) {
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		result.Starts, result.Binaries, err = bench.Starts(ctx, bench.StartConfig{
			BaseURL: s.State.BaseURL, Deployed: s.Deployed(), Cold: opt.starts, Warm: opt.requests, Out: stderr,
		})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, result.Markdown())
	return writeSection(opt, "bench-start", result.Markdown(), stderr)
}
