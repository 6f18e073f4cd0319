package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	root    string // the project's folder
	program string // infra/local, built
	shared  *local // the stack of every test that doesn't need its own
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "csvexport-e2e-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if root, err = filepath.Abs("../.."); err != nil {
		return fail(err)
	}
	program = filepath.Join(dir, "local")
	if out, err := exec.Command("go", "build", "-o", program, "../local").CombinedOutput(); err != nil {
		return fail(fmt.Errorf("build infra/local: %w\n%s", err, out))
	}
	if os.Getenv("FUNCTIONS") == "sam" {
		// sam waits a second for the end of an invocation's log if that is of several lines (samcli 1.170,
		// Container._handle_data_writing).
		plenty = append(plenty, "-param", "LogLevel=warn")
	}
	if shared, err = up(stackName("shared"), append(plenty, "-ephemeral", "-port", "0")...); err != nil {
		return fail(err)
	}
	defer func() {
		if err := shared.stop(); err != nil {
			code = fail(err)
		}
	}()
	return m.Run()
}

// plenty is an owner's quota that no test uses up.
var plenty = []string{"-param", "MaxActiveExports=100000", "-param", "MaxCreatesPerMinute=100000"}

// stackName keeps the stacks of this run apart from everybody else's.
func stackName(suffix string) string { return fmt.Sprintf("e2e-%d-%s", os.Getpid(), suffix) }
