package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/template"
)

// build compiles the functions for this machine, otherwise as for Lambda, into
// dir. The shell's Go settings hold. The error carries the compiler's whole output.
func build(ctx context.Context, root, dir string, functions []template.Function) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("no go on PATH: install Go 1.26 or later")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s", "-o", dir + string(filepath.Separator)}
	for _, f := range functions {
		args = append(args, "./"+filepath.ToSlash(filepath.Clean(f.CodeURI)))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("build the functions: %w\n%s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// lambdaFunctions maps the template's functions to the binaries that build made.
func lambdaFunctions(dir string, functions []template.Function) []lambda.Function {
	var list []lambda.Function
	for _, f := range functions {
		folder := filepath.Base(filepath.Clean(f.CodeURI))
		list = append(list, lambda.Function{
			Name: f.Name, LogicalID: f.LogicalID, ARN: f.ARN, Path: filepath.Join(dir, folder), Folder: folder,
			Handler: f.Handler, MemoryMB: f.MemoryMB, Timeout: f.Timeout, Environment: f.Environment, Concurrency: f.Concurrency,
		})
	}
	return list
}
