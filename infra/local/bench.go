package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"csvexport/infra/internal/bench"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/recorder"
	"csvexport/infra/internal/stack"
)

// benchAPI measures the routes on a stack of its own, and prints the tables.
func benchAPI(ctx context.Context, opt options, stdout, stderr io.Writer) (err error) {
	folder, err := stack.Open(opt.root, opt.stack, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	result := bench.Result{When: time.Now(), Rows: opt.rows}
	var whileExporting bench.Line
	err = benchOn(ctx, folder, opt, false, stderr, func(s *stack.Stack, cfg bench.Config) (err error) {
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		whileExporting, result.Memory, err = bench.Exports(ctx, cfg)
		return err
	})
	if err != nil {
		return err
	}
	// Without messages: no export competes with the requests for the machine.
	err = benchOn(ctx, folder, opt, true, stderr, func(_ *stack.Stack, cfg bench.Config) (err error) {
		result.Lines, result.Cold, err = bench.Requests(ctx, cfg)
		return err
	})
	if err != nil {
		return err
	}
	result.Lines = append(result.Lines, whileExporting)
	fmt.Fprintln(stdout, result.Markdown())
	return writeSection(opt, "bench-api", result.Markdown(), stderr)
}

// benchOn calls f with a stack whose functions reach SQS and DynamoDB through
// a recorder, and ends both.
func benchOn(ctx context.Context, folder *stack.Folder, opt options, requestsOnly bool, stderr io.Writer,
	f func(*stack.Stack, bench.Config) error,
) (err error) {
	calls := recorder.New()
	defer func() { err = errors.Join(err, calls.Close()) }()
	s, err := stack.Start(ctx, folder, stack.Config{
		Out: stderr, Parameters: plenty, RequestsOnly: requestsOnly, Intercept: recorded(calls),
	})
	if err != nil {
		return err
	}
	err = f(s, bench.Config{
		BaseURL: s.State.BaseURL, LambdaURL: s.State.Endpoints.Lambda, Recorder: calls, Requests: opt.requests, Out: stderr,
	})
	if ctx.Err() != nil { // whatever an interrupted part of it says
		err = context.Cause(ctx)
	}
	return errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
}

// recorded has functions reach SQS and DynamoDB through a recorder.
func recorded(calls *recorder.Recorder) func(localaws.Endpoints) (localaws.Endpoints, error) {
	return func(seen localaws.Endpoints) (_ localaws.Endpoints, err error) {
		if seen.SQS, err = calls.Proxy(seen.SQS); err != nil {
			return seen, err
		}
		seen.DynamoDB, err = calls.Proxy(seen.DynamoDB)
		return seen, err
	}
}
