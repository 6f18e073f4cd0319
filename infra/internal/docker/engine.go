package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"csvexport/infra/internal/filelock"
	"csvexport/infra/internal/process"
)

const (
	temp         = "/var/tmp" // on a disk
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second // containers get ten to end
	pollEvery    = 100 * time.Millisecond
)

// Engine is a Docker engine of our own.
type Engine struct {
	Host string // value of DOCKER_HOST

	process *process.Process
	dir     string
	log     *os.File
	lock    *filelock.Lock
}

// Start starts an engine that keeps nothing: images and containers are in a
// folder that Stop removes. It takes root, and dockerd on PATH. The folder is
// not the project's, whose path may be too long for the name of a socket.
//
// There is one such engine at a time on a machine, for which Start waits: two
// would give the same addresses to containers of one bridge.
func Start(ctx context.Context, logFile string) (_ *Engine, err error) {
	path, err := exec.LookPath("dockerd")
	if err != nil {
		return nil, errors.New("no dockerd on PATH")
	}
	e := &Engine{}
	if e.lock, err = filelock.Wait(ctx, filepath.Join(temp, "csvexport-docker.lock")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.lock.Release())
		}
	}()
	if e.dir, err = os.MkdirTemp(temp, "csvexport-docker-"); err != nil {
		return nil, err
	}
	if e.log, err = os.Create(logFile); err != nil {
		return nil, errors.Join(err, os.RemoveAll(e.dir))
	}
	e.Host = "unix://" + filepath.Join(e.dir, "docker.sock")
	e.process, err = process.Start(process.Spec{
		Path: path, Dir: e.dir, Env: os.Environ(), Stdout: e.log, Stderr: e.log,
		Args: []string{
			"--host", e.Host, "--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"),
			"--pidfile", filepath.Join(e.dir, "pid"),
			"--storage-driver", "vfs", // works on every file system; the images are small
		},
	})
	if err != nil {
		return nil, errors.Join(err, e.log.Close(), os.RemoveAll(e.dir))
	}
	if err := e.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start Docker: %w; log: %s", err, logFile), e.end(context.WithoutCancel(ctx)))
	}
	return e, nil
}

func (e *Engine) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := e.Client().Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-e.process.Done():
			return errors.New("dockerd ended by itself")
		case <-time.After(pollEvery):
		}
	}
}

// Client returns a client of this engine.
func (e *Engine) Client() Client {
	return Client{Env: append(os.Environ(), "DOCKER_HOST="+e.Host)}
}

// Stop ends the engine with its containers and removes what it kept.
func (e *Engine) Stop(ctx context.Context) error {
	return errors.Join(e.end(ctx), e.lock.Release())
}

func (e *Engine) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err := e.process.Stop(ctx, syscall.SIGTERM)
	return errors.Join(err, e.log.Close(), os.RemoveAll(e.dir))
}
