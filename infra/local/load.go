package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"csvexport/infra/internal/bench"
	"csvexport/infra/internal/recorder"
	"csvexport/infra/internal/stack"
)

// crowdRows make an export of about a quarter of a second.
const crowdRows = 100_000

// crowdLoad has many owners create at the same moment, on a stack of its own,
// and prints what they waited. The error is errReported if quiet owners wait too long.
func crowdLoad(ctx context.Context, opt options, stdout, stderr io.Writer) (err error) {
	signIn, err := startIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, signIn.close()) }()
	calls := recorder.New()
	defer func() { err = errors.Join(err, calls.Close()) }()
	opt.rows = crowdRows
	var result bench.CrowdResult
	err = onOwnStack(ctx, opt, stack.Config{
		Out: stderr, Parameters: signIn.parameters(), Intercept: recorded(calls),
	}, func(s *stack.Stack) (err error) {
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		result, err = bench.Crowd(ctx, bench.CrowdConfig{
			Config: bench.Config{BaseURL: s.State.BaseURL, LambdaURL: s.State.Endpoints.Lambda, Recorder: calls, Out: stderr},
			Token:  signIn.token, Rounds: opt.rounds,
		})
		return err
	})
	if err != nil {
		return err
	}
	result.When, result.Rows = time.Now(), opt.rows
	fmt.Fprintln(stdout, result.Markdown())
	if err := writeSection(opt, "load", result.Markdown(), stderr); err != nil {
		return err
	}
	if !result.Fair() {
		return errReported
	}
	return nil
}
