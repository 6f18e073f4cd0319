// Package psql runs PostgreSQL's own client, whose output is what this
// project's files are compared with.
package psql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// DB is a database as psql reaches it.
type DB struct {
	Path string // of psql
	URL  string // connection URL or keyword string
	Own  bool   // the stack's own server: no PG* variable or ~/.pgpass of the user applies
}

// command prepares psql without its startup file and without prompts. The
// session's settings are those that the service pins, so that values print alike.
func (db DB) command(ctx context.Context, args ...string) *exec.Cmd {
	target, password := splitPassword(db.URL)
	args = append([]string{"--no-psqlrc", "--no-password", "--quiet", "--dbname", target}, args...)
	cmd := exec.CommandContext(ctx, db.Path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if !db.Own {
		cmd.Env = os.Environ()
	}
	if password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	}
	cmd.Env = append(cmd.Env, "PGTZ=UTC", "PGDATESTYLE=ISO, YMD", "PGCLIENTENCODING=UTF8", "PGAPPNAME=csvexport local", "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // psql then cancels its query
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// splitPassword takes the password out of a connection URL: the process list
// shows a command's arguments, but not its environment.
func splitPassword(address string) (target, password string) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address, ""
	}
	password, _ = u.User.Password()
	u.User = url.User(u.User.Username())
	return u.String(), password
}

// Copy writes the answer of a COPY … TO STDOUT to w, as it comes.
func (db DB) Copy(ctx context.Context, statement string, w io.Writer) error {
	return run(db.command(ctx, "--command", statement), w)
}

// Value returns the one value that a query answers, as text.
func (db DB) Value(ctx context.Context, query string) (string, error) {
	var out bytes.Buffer
	err := run(db.command(ctx, "--tuples-only", "--no-align", "--command", query), &out)
	return strings.TrimSpace(out.String()), err
}

// Count returns the number of rows of a relation.
func (db DB) Count(ctx context.Context, relation string) (int64, error) {
	text, err := db.Value(ctx, "SELECT count(*) FROM "+relation)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// File runs a script with psql variables, given as name=value.
func (db DB) File(ctx context.Context, path string, variables ...string) error {
	args := []string{"--file", path}
	for _, v := range variables {
		args = append(args, "--set", v)
	}
	return run(db.command(ctx, args...), io.Discard)
}

func run(cmd *exec.Cmd, w io.Writer) error {
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && stderr.Len() > 0 {
		return errors.New(message(stderr.String()))
	}
	if err != nil {
		return fmt.Errorf("psql: %w", err)
	}
	return nil
}

// message turns psql's report into one line: the error and, where the server
// gave one, the hint.
func message(report string) string {
	var parts []string
	for line := range strings.Lines(report) {
		if _, text, ok := strings.Cut(line, "ERROR:  "); ok {
			parts = append(parts, strings.TrimSpace(text))
		}
		if _, text, ok := strings.Cut(line, "HINT:  "); ok {
			parts = append(parts, strings.TrimSpace(text))
		}
	}
	if len(parts) == 0 {
		return strings.Join(strings.Fields(report), " ")
	}
	return strings.Join(parts, ". ")
}
