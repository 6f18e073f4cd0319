package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"csvexport/infra/internal/docker"
	"csvexport/infra/internal/stack"
)

const (
	// invokeImage is the environment variable that names the image of sam's containers.
	invokeImage = "SAM_INVOKE_IMAGE"
	// standIn is the image that infra/sam/Dockerfile describes.
	standIn = "csvexport/lambda-provided:stand-in"
)

// sam is how the stack calls the SAM CLI; nil without.
func (opt options) sam() (*stack.SAM, error) {
	if opt.functions != "sam" {
		return nil, nil //nolint:nilnil // it is optional
	}
	python := filepath.Join(opt.root, ".local", ".tools", "sam", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return nil, errors.New("the SAM CLI isn't installed: call make with FUNCTIONS=sam, or run make .local/.tools/sam/complete")
	}
	return &stack.SAM{Python: python, InvokeImage: opt.invokeImage}, nil
}

// runWithDocker runs a command while a Docker engine runs: the shell's own, if
// one answers, else one that is started, has the stand-in image of the Lambda
// runtime, and ends with the command. The error is a *commandError if the
// command failed by itself.
func runWithDocker(ctx context.Context, opt options, command []string, stdout, stderr io.Writer) (err error) {
	if len(command) == 0 {
		return errors.New("docker: no command; want: local docker -- CMD …")
	}
	env := os.Environ()
	if missing := (docker.Client{Env: env}).Ping(ctx); missing != nil {
		if os.Getuid() != 0 {
			return fmt.Errorf("this needs a Docker engine, and none answers (%w): start Docker; root with dockerd and busybox-static gets an engine of its own", missing)
		}
		engine, failed := startEngine(ctx, opt.root, stderr)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, engine.Stop(context.WithoutCancel(ctx))) }()
		env = append(env, "DOCKER_HOST="+engine.Host, invokeImage+"="+standIn)
	}
	// The stacks of tests end in order.
	return runChild(ctx, command, env, time.Minute, stdout, stderr)
}

// startEngine starts an engine and makes the stand-in image in it.
func startEngine(ctx context.Context, root string, stderr io.Writer) (*docker.Engine, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, errors.New("no busybox on PATH (Debian: apt-get install busybox-static)")
	}
	fmt.Fprintln(stderr, "no Docker engine answers: starting one, with a stand-in for AWS's image of the runtime")
	if err := os.MkdirAll(filepath.Join(root, ".local"), 0o755); err != nil {
		return nil, err
	}
	engine, err := docker.Start(ctx, filepath.Join(root, ".local", "docker.log"))
	if err != nil {
		return nil, err
	}
	err = engine.Client().Build(ctx, standIn, map[string]string{"Dockerfile": filepath.Join(root, "infra", "sam", "Dockerfile"), "busybox": busybox})
	if err != nil {
		return nil, errors.Join(err, engine.Stop(context.WithoutCancel(ctx)))
	}
	return engine, nil
}
