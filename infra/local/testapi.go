package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"csvexport/infra/internal/stack"
)

// testAPIRows are enough for an export to have several rows of each kind, and
// few enough for hundreds of exports.
const testAPIRows = 500

// testAPI has schemathesis send requests that it makes of the contract to a
// stack of its own. The error is errReported if a request was answered against
// the contract, or if the requests weren't what tally.problems asks for.
func testAPI(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	contract, err := readContract(opt.root)
	if err != nil {
		return err
	}
	opt.rows = testAPIRows
	return onOwnStack(ctx, opt, stderr, func(s *stack.Stack) error {
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		report := filepath.Join(opt.root, ".local", ".tests", "test-api.ndjson")
		if err := os.MkdirAll(filepath.Dir(report), 0o755); err != nil {
			return err
		}
		runErr := schemathesis(ctx, opt, contract, s.State, report, stdout)
		var exit *exec.ExitError
		if runErr != nil && (ctx.Err() != nil || !errors.As(runErr, &exit)) {
			return runErr
		}
		counted, err := countFile(report, contract.operations)
		if err != nil {
			return errors.Join(runErr, err)
		}
		problems := counted.problems()
		if runErr != nil {
			problems = append(problems, "schemathesis found failures, or could not run; see above")
		}
		if err := counted.print(stdout, problems); err != nil {
			return err
		}
		if len(problems) > 0 {
			return errReported
		}
		return nil
	})
}

// schemathesis runs it to its end. The error is an *exec.ExitError if it found
// something, or didn't understand its settings.
func schemathesis(ctx context.Context, opt options, contract contract, state stack.State, report string, stdout io.Writer) error {
	folder := filepath.Join(opt.root, "infra", "api")
	location := state.BaseURL + "/openapi.yaml"
	if !contract.served {
		location = filepath.Join(opt.root, "internal", "api", "openapi.yaml")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(opt.root, ".local", ".tools", "schemathesis", "bin", "python"), "-m", "schemathesis.cli",
		"--config-file", filepath.Join(folder, "schemathesis.toml"), "run", location, "--url", state.BaseURL, "--checks", "all",
		"--seed", strconv.Itoa(opt.seed), "--report", "ndjson", "--report-ndjson-path", report)
	cmd.Dir = filepath.Dir(report)
	// Nothing of the shell's: a proxy above all.
	cmd.Env = []string{
		"HOME=" + cmd.Dir, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "NO_COLOR=1", "PYTHONDONTWRITEBYTECODE=1",
		"PYTHONPATH=" + folder, "SCHEMATHESIS_HOOKS=hooks",
		"TEST_API_URL=" + state.BaseURL, "TEST_API_PSQL=" + state.PSQL, "TEST_API_DATABASE_URL=" + state.DatabaseURL,
	}
	cmd.Stdout, cmd.Stderr = stdout, stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

// contract is what testAPI needs to know of openapi.yaml.
type contract struct {
	operations []string // "METHOD /path"
	served     bool     // by the service itself
}

// readContract reads the operations of openapi.yaml, but for those that
// infra/api/pending.json names.
func readContract(root string) (c contract, err error) {
	text, err := os.ReadFile(filepath.Join(root, "internal", "api", "openapi.yaml"))
	if err != nil {
		return c, err
	}
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return c, fmt.Errorf("openapi.yaml: %w", err)
	}
	text, err = os.ReadFile(filepath.Join(root, "infra", "api", "pending.json"))
	if err != nil {
		return c, err
	}
	var pending struct{ Operations []string }
	if err := json.Unmarshal(text, &pending); err != nil {
		return c, fmt.Errorf("pending.json: %w", err)
	}
	for path, item := range document.Paths {
		for _, method := range []string{"get", "head", "post", "put", "patch", "delete"} {
			if name := operationName(method, path); item[method] != nil && !slices.Contains(pending.Operations, name) {
				c.operations = append(c.operations, name)
			}
		}
	}
	slices.Sort(c.operations)
	c.served = slices.Contains(c.operations, "GET /openapi.yaml")
	return c, nil
}
