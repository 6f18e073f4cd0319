package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"csvexport/infra/internal/process"
)

// homeDir holds a server's data and, for root, a copy of its programs.
type homeDir struct {
	path    string
	install string
	psql    string
	owner   *process.Credential // nil: the user who starts it

	replicated bool
}

func (h homeDir) data() string           { return filepath.Join(h.path, "data") }
func (h homeDir) bin(name string) string { return filepath.Join(h.install, "bin", name) }

// sharedTemp is where root puts a server: every user may enter it, and the
// project itself may lie where only root may (a clone in /root).
const sharedTemp = "/var/tmp"

// home is the path of the home of the stack in dir.
func home(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if os.Geteuid() != 0 {
		return filepath.Join(abs, "postgres"), nil
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(sharedTemp, fmt.Sprintf("csvexport-%x", sum[:8])), nil
}

// prepare makes the home. A user's server runs in place. Root's is copied into
// a folder that root alone may write and everybody may enter.
func prepare(cfg Config) (homeDir, error) {
	path, err := home(cfg.Dir)
	if err != nil {
		return homeDir{}, err
	}
	if os.Geteuid() != 0 {
		h := homeDir{path: path, install: cfg.Install, replicated: cfg.Replicated}
		h.psql = cmp.Or(cfg.PSQL, h.bin("psql"))
		return h, os.MkdirAll(path, 0o700)
	}
	if err := os.Mkdir(path, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return homeDir{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return homeDir{}, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || st.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return homeDir{}, fmt.Errorf("%s is not a folder that only root may write: remove it and start again", path)
	}
	if err := os.Chmod(path, 0o711); err != nil { // whatever the umask said
		return homeDir{}, err
	}
	owner, err := nobody()
	if err != nil {
		return homeDir{}, err
	}
	programs := filepath.Join(path, "programs")
	h := homeDir{path: path, install: filepath.Join(programs, filepath.Base(filepath.Dir(cfg.Install)), filepath.Base(cfg.Install)), owner: owner, replicated: cfg.Replicated}
	h.psql = cmp.Or(cfg.PSQL, h.bin("psql"))
	return h, copyPrograms(cfg.Install, programs)
}

// copyPrograms copies the wheel's two folders: the installation, and beside it
// the libraries that its programs look for relative to themselves.
func copyPrograms(install, to string) error {
	source := filepath.Dir(install)
	note := []byte(source)
	if info, err := os.Stat(filepath.Join(install, "bin", "postgres")); err == nil {
		note = fmt.Appendf(note, " %d %s", info.Size(), info.ModTime())
	}
	complete := filepath.Join(to, "complete")
	if got, err := os.ReadFile(complete); err == nil && string(got) == string(note) {
		return nil
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	for _, dir := range []string{source, source + ".libs"} {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.CopyFS(filepath.Join(to, filepath.Base(dir)), os.DirFS(dir)); err != nil {
			return err
		}
	}
	if err := openToAll(to); err != nil {
		return err
	}
	return os.WriteFile(complete, note, 0o644)
}

// openToAll lets every user read the tree, whatever the umask said.
func openToAll(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if entry.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// nobody is the user without rights of its own.
func nobody() (*process.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("as root, Postgres must run as the user nobody: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &process.Credential{UID: uint32(uid), GID: uint32(gid)}, nil
}

// initialize makes the data folder unless it is complete.
func initialize(ctx context.Context, h homeDir, password string) (err error) {
	if _, err := os.Stat(h.data()); err == nil {
		return nil
	}
	unfinished, secret := h.data()+".new", filepath.Join(h.path, "password")
	defer func() { err = errors.Join(err, os.RemoveAll(secret)) }()
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	locale, err := h.locale(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, h.bin("initdb"), append(locale, "--pgdata", unfinished, "--username", superuser, "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--lc-messages", "C", "--no-sync")...)
	cmd.Dir, cmd.Env = h.path, environment()
	if o := h.owner; o != nil {
		if err := errors.Join(os.Chown(unfinished, int(o.UID), int(o.GID)), os.Chown(secret, int(o.UID), int(o.GID))); err != nil {
			return err
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.UID, Gid: o.GID}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Rename(unfinished, h.data())
}

// locale is that of the databases: C.UTF-8, which is the server's own from 17
// on, and the system's before.
func (h homeDir) locale(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, h.bin("postgres"), "--version").Output() // as "postgres (PostgreSQL) 18.6"
	if err != nil {
		return nil, fmt.Errorf("ask for the version of Postgres: %w", err)
	}
	major := 0
	if _, err := fmt.Sscanf(string(out), "postgres (PostgreSQL) %d", &major); err != nil {
		return nil, fmt.Errorf("version of Postgres %q: %w", out, err)
	}
	if major < 17 {
		return []string{"--locale", "C.UTF-8"}, nil
	}
	return []string{"--locale-provider", "builtin", "--locale", "C.UTF-8"}, nil
}

// environment of the server's programs: nothing of the shell, such as PGHOST or PGDATA.
func environment() []string { return []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"} }
