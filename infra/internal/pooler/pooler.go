// Package pooler runs PgBouncer on loopback before a PostgreSQL server, for
// tests of what the service does behind a connection pooler.
package pooler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/process"
	"csvexport/infra/internal/server"
)

const stopTimeout = 10 * time.Second

// Config says what to start.
type Config struct {
	Mode    string                           // PgBouncer's pool_mode: session, transaction or statement
	URL     string                           // of the server, as its superuser
	LogFile string                           // truncated at start
	Started func(name string, pid int) error // as in server.Spec
}

// Server is a PgBouncer that accepts connections.
type Server struct {
	URL string // as Config.URL, through the pooler

	server *server.Server
	dir    string
}

// Start starts PgBouncer before every database of the server. Its users are
// the server's. It refuses to run as root, and then runs as nobody.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil { // Debian's package puts it where only root's PATH leads
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, errors.New("no pgbouncer on PATH: install it (Debian, Ubuntu: apt install pgbouncer)")
		}
	}
	target, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("address of Postgres: %w", err)
	}
	s := &Server{}
	if s.dir, err = os.MkdirTemp("", "csvexport-pgbouncer-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	owner, err := owner(s.dir)
	if err != nil {
		return nil, err
	}
	spec := process.Spec{Path: program, Args: []string{filepath.Join(s.dir, "pgbouncer.ini")}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: s.dir, Credential: owner}
	var written error
	s.server, err = server.Start(ctx, server.Spec{
		Name: "PgBouncer", LogFile: cfg.LogFile, Started: cfg.Started,
		Command: func(port int) process.Spec {
			written = configure(s.dir, cfg.Mode, target, port, owner)
			return spec
		},
		Ready: accepts,
	})
	err = errors.Join(written, err)
	if err != nil {
		return nil, err
	}
	target.Host = loopback.Addr(s.server.Port)
	s.URL = target.String()
	return s, nil
}

// configure writes PgBouncer's files. Users other than the superuser are
// looked up in the server, with whose secrets PgBouncer then logs in.
func configure(dir, mode string, target *url.URL, port int, owner *process.Credential) error {
	password, _ := target.User.Password()
	files := map[string]string{
		"users.txt": fmt.Sprintf("%q %q\n", target.User.Username(), password),
		"pgbouncer.ini": fmt.Sprintf(`[databases]
* = host=%s port=%s auth_user=%s
[pgbouncer]
listen_addr = %s
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = %s
max_client_conn = 500
default_pool_size = 40
query_wait_timeout = 20
server_idle_timeout = 5
`, target.Hostname(), target.Port(), target.User.Username(), loopback.Host, port, filepath.Join(dir, "users.txt"), mode),
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if owner != nil {
			if err := os.Chown(path, int(owner.UID), int(owner.GID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// owner is the user nobody, who then owns dir, for root; nil for others.
func owner(dir string) (*process.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // process.Spec's own way to say "the parent's user"
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("as root, PgBouncer must run as the user nobody: %w", err)
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(u.Uid), 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &process.Credential{UID: uint32(uid), GID: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}

func accepts(ctx context.Context, port int) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", loopback.Addr(port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// Stop ends PgBouncer, with the connections through it.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return errors.Join(s.server.Stop(ctx, syscall.SIGTERM), os.RemoveAll(s.dir))
}
