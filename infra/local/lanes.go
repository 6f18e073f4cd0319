package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A lane is a way to run the end-to-end tests, which are the same in each:
// "local" is the stack that needs no Docker, with versitygw and ministack;
// "localstack" has LocalStack and DynamoDB Local in their place; "sam" has the
// functions and routes run by the SAM CLI in containers.
//
// lanes are their names and the tests that don't run there.
var lanes = map[string][]excluded{
	"local":      localStackOnly,
	"localstack": localStackExcluded,
	"sam":        append(samExcluded, localStackOnly...),
}

// excluded are tests of the end-to-end suite that a lane leaves out.
type excluded struct {
	Test   string // as go test -skip takes it: ^TestName$, or ^TestName$/^part$
	Reason string // what is different there, in a sentence
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
