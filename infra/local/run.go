package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"csvexport/infra/internal/stack"
)

// commandError says that the command of run has failed, of which it has told
// itself.
type commandError struct{ status int }

func (e *commandError) Error() string {
	return fmt.Sprintf("the command ended with status %d", e.status)
}

// runCommand runs a command beside fresh stand-ins that are removed after it.
// The error is a *commandError if the command failed by itself.
func runCommand(ctx context.Context, opt options, command []string, stdout, stderr io.Writer) (err error) {
	if len(command) == 0 {
		return errors.New("run: no command; want: local run -- CMD …")
	}
	name := fmt.Sprintf("run-%d", os.Getpid())
	folder, err := stack.Open(opt.root, name, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	servers, err := folder.StartServers(ctx, stack.ServersConfig{
		OwnDatabase: true, Install: opt.postgres, Pooler: opt.pooler, Emulator: opt.emulator, DynamoDBURL: opt.dynamoDBURL, Out: stderr,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Stop(context.WithoutCancel(ctx))) }()

	return runChild(ctx, command, testEnvironment(os.Environ(), servers), 10*time.Second, stdout, stderr)
}

// runChild runs a command of the user's to its end, with this program's input.
// When ctx is done it gets SIGTERM, and is killed after the grace. The error is
// a *commandError if the command failed by itself.
func runChild(ctx context.Context, command, env []string, grace time.Duration, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Exited() && ctx.Err() == nil:
		return &commandError{exit.ExitCode()}
	}
	return fmt.Errorf("run %s: %w", command[0], err)
}

// testEnvironment is the shell's, without its settings for AWS and Postgres,
// with the bundled psql first on PATH, and with the stand-ins' addresses.
func testEnvironment(shell []string, servers *stack.Servers) []string {
	env := slices.DeleteFunc(servers.Endpoints.Replace(shell), func(entry string) bool { return strings.HasPrefix(entry, "PG") })
	for i, entry := range env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			env[i] = "PATH=" + filepath.Dir(servers.PSQL) + string(os.PathListSeparator) + path
		}
	}
	database := servers.Postgres.URL
	if servers.Pooler != nil {
		database = servers.Pooler.URL
	}
	return append(env,
		"TEST_DATABASE_URL="+database,
		"TEST_S3_URL="+servers.Endpoints.S3,
		"TEST_SQS_URL="+servers.Endpoints.SQS,
		"TEST_DYNAMODB_URL="+servers.Endpoints.DynamoDB,
		"TEST_PSQL="+servers.PSQL,
	)
}
