package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/stack"
)

// testAPIRows are enough for an export to have several rows of each kind, and
// few enough for hundreds of exports.
const testAPIRows = 500

// testAPI has schemathesis send requests that it makes of the contract to a
// stack of its own. The error is errReported if a request was answered against
// the contract, or if the requests weren't what tally.problems asks for.
func testAPI(ctx context.Context, opt options, stdout, stderr io.Writer) (err error) {
	operations, err := contractOperations(opt.root)
	if err != nil {
		return err
	}
	opt.rows = testAPIRows
	signIn, err := startIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, signIn.close()) }()
	token, err := signIn.token("tester")
	if err != nil {
		return err
	}
	parameters := signIn.parameters()
	maps.Copy(parameters, plenty)
	datasets, err := deliveringDatasets(opt.root)
	if err != nil {
		return err
	}
	return onOwnStack(ctx, opt, stack.Config{Out: stderr, Parameters: parameters, Datasets: datasets}, func(s *stack.Stack) error {
		if err := fillUsers(ctx, opt, s.State.DB(), stderr); err != nil {
			return err
		}
		report := filepath.Join(opt.root, ".local", ".tests", "test-api.ndjson")
		runErr := schemathesis(ctx, opt, s.State, token, report, stdout)
		var exit *exec.ExitError
		if runErr != nil && (ctx.Err() != nil || !errors.As(runErr, &exit)) {
			return runErr
		}
		counted, err := countFile(report, operations)
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

// deliveringDatasets writes the service's own catalog with a destination behind
// it, which infra/api/hooks.py knows, and returns the file's path.
func deliveringDatasets(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "internal", "dataset", "default.yaml"))
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".local", ".tests", "test-api-datasets.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	text = fmt.Appendf(text, "\ndestinations:\n  - {name: acme, bucket: %s, role: %q}\n", localaws.DeliveryBucket, localaws.DeliveryRole)
	return path, os.WriteFile(path, text, 0o600)
}

// schemathesis runs it to its end. The error is an *exec.ExitError if it found
// something, or didn't understand its settings.
func schemathesis(ctx context.Context, opt options, state stack.State, token, report string, stdout io.Writer) error {
	folder := filepath.Join(opt.root, "infra", "api")
	// The file, although the service serves it: schemathesis leaves out the route that it got its document from.
	document := filepath.Join(opt.root, "internal", "api", "openapi.yaml")
	cmd := exec.CommandContext(ctx, filepath.Join(opt.root, ".local", ".tools", "schemathesis", "bin", "python"), "-m", "schemathesis.cli",
		"--config-file", filepath.Join(folder, "schemathesis.toml"), "run", document, "--url", state.BaseURL, "--checks", "all",
		"--header", "Authorization: Bearer "+token,
		"--seed", strconv.Itoa(opt.seed), "--report", "ndjson", "--report-ndjson-path", report)
	cmd.Dir = filepath.Dir(report)
	// Nothing of the shell's: a proxy above all.
	cmd.Env = []string{
		"HOME=" + cmd.Dir, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "NO_COLOR=1", "PYTHONDONTWRITEBYTECODE=1",
		"PYTHONPATH=" + folder, "SCHEMATHESIS_HOOKS=hooks",
		"TEST_API_URL=" + state.BaseURL, "TEST_API_TOKEN=" + token, "TEST_API_PSQL=" + state.PSQL, "TEST_API_DATABASE_URL=" + state.DatabaseURL,
	}
	cmd.Stdout, cmd.Stderr = stdout, stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

// contractOperations returns the operations of openapi.yaml: "METHOD /path".
func contractOperations(root string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(root, "internal", "api", "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	var contract struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &contract); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	var operations []string
	for path, item := range contract.Paths {
		for _, method := range []string{"get", "head", "post", "put", "patch", "delete"} {
			if item[method] != nil {
				operations = append(operations, operationName(method, path))
			}
		}
	}
	slices.Sort(operations)
	return operations, nil
}
