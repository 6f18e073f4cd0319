package stack_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"csvexport/infra/internal/objectstore"
	"csvexport/infra/internal/stack"
)

// TestMain lets the test's own binary stand in for the program `local`.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == stack.ObjectStoreCommand {
		if err := objectstore.Serve(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if root := os.Getenv("STACK_TEST_HOLD"); root != "" {
		hold(root)
		return
	}
	goleak.VerifyTestMain(m)
}
