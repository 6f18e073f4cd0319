package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"csvexport/infra/internal/costs"
	"csvexport/infra/internal/stack"
)

// costsRows is the size of the small export that costs are computed from: one
// part, and less than a second.
const costsRows = 100_000

// computeCosts measures two exports and the sweep on a stack of its own, and
// prints what they cost in AWS.
func computeCosts(ctx context.Context, opt options, stdout, stderr io.Writer) (err error) {
	template, err := os.ReadFile(filepath.Join(opt.root, "template.yaml"))
	if err != nil {
		return err
	}
	meter := costs.NewMeter()
	defer func() { err = errors.Join(err, meter.Close()) }()
	result := costs.Result{When: time.Now(), Standing: costs.Declared(string(template))}
	err = onOwnStack(ctx, opt, stack.Config{Out: stderr, Parameters: plenty, Intercept: meter.Intercept}, func(s *stack.Stack) (err error) {
		meters := costs.Meters{Stack: s, Meter: meter, Out: stderr}
		if result.Idle, err = meters.Idle(ctx); err != nil {
			return err
		}
		for _, measured := range []struct {
			rows int64
			run  *costs.Run
		}{{costsRows, &result.Small}, {opt.rows, &result.Large}} {
			of := opt
			of.rows = measured.rows
			if err := fillUsers(ctx, of, s.State.DB(), stderr); err != nil {
				return err
			}
			if *measured.run, err = meters.Export(ctx, measured.rows); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := result.Check(); err != nil {
		return err
	}
	fmt.Fprintln(stdout, result.Markdown())
	return writeSection(opt, "costs", result.Markdown(), stderr)
}
