package main

import (
	"context"
	"errors"
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
func benchStart(ctx context.Context, opt options, stdout, stderr io.Writer) (err error) {
	folder, err := stack.Open(opt.root, opt.stack, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	s, err := stack.Start(ctx, folder, stack.Config{Out: stderr, Parameters: plenty, RequestsOnly: true})
	if err != nil {
		return err
	}
	result := bench.StartResult{When: time.Now()}
	opt.rows = startRows
	if err = fillUsers(ctx, opt, s.State.DB(), stderr); err == nil {
		result.Starts, result.Binaries, err = bench.Starts(ctx, bench.StartConfig{
			BaseURL: s.State.BaseURL, Deployed: s.Deployed(), Cold: opt.starts, Warm: opt.requests, Out: stderr,
		})
	}
	if ctx.Err() != nil { // whatever an interrupted part of it says
		err = context.Cause(ctx)
	}
	err = errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, result.Markdown())
	if opt.write == "" {
		return nil
	}
	return writeSection(opt, "bench-start", result.Markdown(), stderr)
}
