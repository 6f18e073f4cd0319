package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A lane is a way to run the end-to-end tests, which are the same in each:
// "local" is the stack that needs no Docker, with versitygw and ministack;
// "localstack" has LocalStack and DynamoDB Local in their place; "sam" has the
// functions and routes run by the SAM CLI in containers.

// lanes are their names and the tests that don't run there.
var lanes = map[string][]excluded{
	"local":      localStackOnly,
	"localstack": localStackExcluded,
	"sam":        slices.Concat(samExcluded, localStackOnly),
}

// excluded are tests of the end-to-end suite that a lane leaves out.
type excluded struct {
	Test   string // as go test -skip takes it: ^TestName$, or ^TestName$/^part$
	Reason string // what is different there, in a sentence
}

// leftOut reports whether a lane leaves a test, or a part of one, out.
func leftOut(lane, name string) bool {
	parts := strings.Split(name, "/")
	return slices.ContainsFunc(lanes[lane], func(e excluded) bool {
		patterns := strings.Split(e.Test, "/")
		if len(patterns) > len(parts) {
			return false
		}
		for i, p := range patterns {
			if !regexp.MustCompile(p).MatchString(parts[i]) {
				return false
			}
		}
		return true
	})
}

// printSkip prints what go test -skip must be given in a lane.
func printSkip(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("skip: no lane; want: local skip LANE")
	}
	left, known := lanes[args[0]]
	if !known {
		return fmt.Errorf("skip: no lane %q; want one of %s", args[0], strings.Join(slices.Sorted(maps.Keys(lanes)), ", "))
	}
	var patterns []string
	for _, e := range left {
		patterns = append(patterns, e.Test)
	}
	_, err := fmt.Fprintln(out, strings.Join(patterns, "|"))
	return err
}
