package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"csvexport/infra/internal/faults"
	"csvexport/infra/internal/stack"
)

const (
	// faultRows make a file of three parts.
	faultRows = 600_000
	// faultsAtOnce is how many points of faults run at the same time. They
	// mostly wait for a lease to run out.
	faultsAtOnce = 8
)

// testFaults makes faults strike exports on a stack of its own, and prints a
// line for each. The error is errReported if one of them ended badly.
func testFaults(ctx context.Context, opt options, stdout, stderr io.Writer) (err error) {
	only, err := numbers(opt.only)
	if err != nil {
		return err
	}
	signIn, err := startIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, signIn.close()) }()
	catalog := filepath.Join(opt.root, ".local", ".tests", "faults.yaml")
	if err := os.MkdirAll(filepath.Dir(catalog), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(catalog, []byte(faults.Datasets()), 0o644); err != nil { //nolint:gosec // functions read it
		return err
	}
	suite := faults.New(stderr, signIn.token)
	parameters := map[string]string{
		"MaximumConcurrency": strconv.Itoa(2 * faultsAtOnce),
		"AuthMode":           "jwt", "AllowAnonymous": "false", "AuthIssuer": signIn.URL, "AuthAudience": testAudience,
	}
	opt.rows = faultRows
	return onOwnStack(ctx, opt, stack.Config{
		Out: stderr, Parameters: maps.Clone(parameters), Datasets: catalog, Intercept: suite.Intercept, InterceptDatabase: suite.InterceptDatabase,
	}, func(s *stack.Stack) (err error) {
		defer func() { err = errors.Join(err, suite.Close()) }()
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		suite.Start(ctx, s)
		if err := suite.Prepare(ctx); err != nil {
			return err
		}
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
