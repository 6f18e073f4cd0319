package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"csvexport/infra/internal/faults"
	"csvexport/infra/internal/stack"
)

const (
	// faultRows make a file of three parts.
	faultRows = 600_000
	// faultsAtOnce is how many points of faults run at the same time. They
	// mostly wait for a lease to run out.
	faultsAtOnce = 8
	// soakWorkers may run at the same time in a soak.
	soakWorkers = 4
)

// testFaults makes faults strike exports on a stack of its own, and prints a
// line for each. The error is errReported if one of them ended badly.
func testFaults(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	only, err := numbers(opt.only)
	if err != nil {
		return err
	}
	return onFaultyStack(ctx, opt, 2*faultsAtOnce, stderr, func(suite *faults.Suite) error {
		passed, failed, err := suite.Run(ctx, only, faultsAtOnce, stdout)
		if err != nil {
			return err
		}
		left, err := suite.Final(ctx)
		for _, violation := range left {
			fmt.Fprintln(stdout, "at the end:", violation)
		}
		fmt.Fprintf(stdout, "faults: %d passed, %d failed\n", passed, failed)
		if err == nil && failed+len(left) > 0 {
			err = errReported
		}
		return err
	})
}

// soak disturbs exports at random for a time, on a stack of its own. The error
// is errReported if an export was lost, a file wrong, or something left behind.
func soak(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	fmt.Fprintf(stderr, "seed %d\n", opt.seed)
	return onFaultyStack(ctx, opt, soakWorkers, stderr, func(suite *faults.Suite) error {
		well := suite.Soak(ctx, time.Duration(opt.minutes)*time.Minute, uint64(opt.seed), stdout) //nolint:gosec // any number will do
		left, err := suite.Final(ctx)
		for _, violation := range left {
			fmt.Fprintln(stdout, "at the end:", violation)
		}
		if err == nil && (!well || len(left) > 0) {
			err = errReported
		}
		return err
	})
}

// onFaultyStack runs f on a stack whose functions reach everything by way of
// the suite's proxies.
func onFaultyStack(ctx context.Context, opt options, workers int, stderr io.Writer, f func(*faults.Suite) error) (err error) {
	signIn, err := startIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, signIn.close()) }()
	catalog := filepath.Join(opt.root, ".local", ".tests", opt.stack+".yaml")
	if err := os.MkdirAll(filepath.Dir(catalog), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(catalog, []byte(faults.Datasets()), 0o644); err != nil {
		return err
	}
	suite := faults.New(stderr, signIn.token)
	opt.rows = faultRows
	parameters := signIn.parameters()
	parameters["MaximumConcurrency"] = strconv.Itoa(workers)
	return onOwnStack(ctx, opt, stack.Config{
		Out: stderr, Datasets: catalog, Intercept: suite.Intercept, InterceptDatabase: suite.InterceptDatabase,
		Parameters: parameters,
	}, func(s *stack.Stack) (err error) {
		defer func() { err = errors.Join(err, suite.Close()) }()
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		if err := suite.Start(ctx, s); err != nil {
			return err
		}
		if err := suite.Prepare(ctx); err != nil {
			return err
		}
		return f(suite)
	})
}

// numbers reads a list such as 1,2,14.
func numbers(list string) (all []int, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("-only is a list of numbers, such as 1,2,14: %w", err)
		}
		all = append(all, n)
	}
	return all, nil
}
