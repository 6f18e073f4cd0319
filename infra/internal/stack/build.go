package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/template"
)

// build compiles the functions for this machine, otherwise as for Lambda, into
// dir. The shell's Go settings hold. The error carries the compiler's whole output.
//
// It begins with what the last stack had: the go command links a program anew
// only if the build ID of the one that is there is another.
func build(ctx context.Context, root, dir string, functions []template.Function) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("no go on PATH: install Go 1.26 or later")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	last := filepath.Join(local(root), ".tools", "functions")
	if err := refresh(last, dir, functions); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s", "-o", dir + string(filepath.Separator)}
	for _, f := range functions {
		args = append(args, "./"+filepath.ToSlash(filepath.Clean(f.CodeURI)))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	output, err := process.Run(ctx, cmd)
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("build the functions: %w\n%s", err, output)
	}
	return refresh(dir, last, functions)
}

// refresh copies the functions' programs that differ from one folder to
// another. Those that are missing are no error: they are built. Whoever reads a
// program at the same time has the old one or the new one.
func refresh(from, to string, functions []template.Function) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, f := range functions {
		name := filepath.Base(filepath.Clean(f.CodeURI))
		content, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		// Not by the time: the go command touches a program that it leaves as it is.
		if there, err := os.ReadFile(filepath.Join(to, name)); err == nil && bytes.Equal(there, content) {
			continue
		}
		if err := replaceProgram(filepath.Join(to, name), content); err != nil {
			return fmt.Errorf("keep the functions' programs: %w", err)
		}
	}
	return nil
}

func replaceProgram(path string, content []byte) (err error) {
	out, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	_, err = out.Write(content)
	err = errors.Join(err, out.Chmod(0o755), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	return err
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
