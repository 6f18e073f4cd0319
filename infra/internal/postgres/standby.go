package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"csvexport/infra/internal/server"
)

// StartStandby starts a server that follows another one by streaming, and that
// takes queries meanwhile. The other must have been started as Replicated, and
// outlive it. Roles and passwords are the other's.
func StartStandby(ctx context.Context, cfg Config, of *Server) (*Server, error) {
	primary, err := url.Parse(of.URL)
	if err != nil {
		return nil, err
	}
	cfg.Replicated = true
	home, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare the standby: %w", err)
	}
	password, _ := primary.User.Password()
	if err := home.copyOf(ctx, primary.Port(), password); err != nil {
		return nil, fmt.Errorf("copy the data for the standby: %w", err)
	}
	srv, err := server.Start(ctx, server.Spec{
		Name: "Postgres's standby", LogFile: cfg.LogFile, Started: cfg.Started,
		Command: home.command,
		Ready: func(ctx context.Context, port int) error {
			ctx, cancel := context.WithTimeout(ctx, probeTimeout)
			defer cancel()
			_, err := home.admin(password, port).Value(ctx, "SELECT 1")
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return &Server{URL: address(superuser, password, srv.Port, database), PSQL: home.psql, server: srv}, nil
}

// copyOf fills the data folder with a copy of the server at a port, and notes
// there where it is, as pg_basebackup does.
func (h homeDir) copyOf(ctx context.Context, port, password string) error {
	err := errors.Join(os.RemoveAll(h.data()), os.Mkdir(h.data(), 0o700))
	cmd := exec.CommandContext(ctx, h.bin("pg_basebackup"), "--dbname", "host=127.0.0.1 user="+superuser+" port="+port, "--pgdata", h.data(),
		"--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	cmd.Dir, cmd.Env = h.path, append(environment(), "PGPASSWORD="+password)
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 5*time.Second
	if o := h.owner; o != nil {
		err = errors.Join(err, os.Chown(h.data(), int(o.UID), int(o.GID)))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.UID, Gid: o.GID}}
	}
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
