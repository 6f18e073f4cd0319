// Package python makes the virtual environment that holds the servers which
// come as Python packages.
package python

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"csvexport/infra/internal/filelock"
	"csvexport/infra/internal/process"
)

// Packages are what an environment holds.
type Packages struct {
	Lock      string   // a requirements.txt with hashes
	Oldest    int      // the oldest minor version of Python 3 that they serve
	Wheelless []string // those that come as sources alone; all others are wheels
}

// Env is a complete virtual environment.
type Env struct{ Dir string }

// Python is the path of its interpreter.
func (e Env) Python() string { return filepath.Join(e.Dir, "bin", "python") }

// Package is the folder of an installed package.
func (e Env) Package(name string) (string, error) {
	found, err := filepath.Glob(filepath.Join(e.Dir, "lib", "python3.*", "site-packages", name))
	if err == nil && len(found) != 1 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", fmt.Errorf("package %s in %s: %w; remove that folder and start again", name, e.Dir, err)
	}
	return found[0], nil
}

// Ensure returns the environment in dir with exactly the given packages, whose
// hashes pip checks. It is made when it is missing or half made, or when the
// lock file or the interpreter changed since; out then gets one line. Callers
// of several programs wait for each other. The error of a Python that cannot
// serve says what to install.
func Ensure(ctx context.Context, dir string, packages Packages, out io.Writer) (env Env, err error) {
	want, err := stamp(packages.Lock)
	if err != nil {
		return Env{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Env{}, fmt.Errorf("make the Python environment: %w", err)
	}
	held, err := filelock.Wait(ctx, dir+".lock")
	if err != nil {
		return Env{}, err
	}
	defer func() { err = errors.Join(err, held.Release()) }()

	env = Env{dir}
	stampFile := filepath.Join(dir, "complete")
	if got, err := os.ReadFile(stampFile); err == nil && string(got) == want && runs(ctx, env.Python()) {
		return env, nil
	}
	python, err := interpreter(ctx, packages.Oldest)
	if err != nil {
		return Env{}, err
	}
	fmt.Fprintf(out, "installing the Python packages of infra/%s (once)\n", filepath.Base(filepath.Dir(packages.Lock)))
	if err := os.RemoveAll(dir); err != nil {
		return Env{}, fmt.Errorf("remove the old Python environment: %w", err)
	}
	if err := command(ctx, python, "-I", "-m", "venv", dir); err != nil {
		return Env{}, fmt.Errorf("make the Python environment: %w", err)
	}
	pip := []string{
		"-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:",
		"--no-binary", strings.Join(append([]string{":none:"}, packages.Wheelless...), ","), "--require-hashes", "--requirement", packages.Lock,
	}
	if err := command(ctx, env.Python(), pip...); err != nil {
		return Env{}, fmt.Errorf("install the packages of %s: %w", packages.Lock, err)
	}
	return env, os.WriteFile(stampFile, []byte(want), 0o644)
}

// stamp names the content of the lock file.
func stamp(lock string) (string, error) {
	text, err := os.ReadFile(lock)
	if err != nil {
		return "", fmt.Errorf("read the list of Python packages: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// runs is false for an environment whose interpreter was removed or updated.
func runs(ctx context.Context, python string) bool {
	return exec.CommandContext(ctx, python, "-I", "-c", "import encodings, ssl").Run() == nil
}

// interpreter finds a Python on PATH that can make environments.
func interpreter(ctx context.Context, oldest int) (string, error) {
	install := fmt.Sprintf("install Python 3.%d or later (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python)", oldest)
	path, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("no python3 on PATH: " + install)
	}
	version, err := exec.CommandContext(ctx, path, "-I", "-c", "import sys; print(*sys.version_info[:2])").Output()
	if err != nil {
		return "", fmt.Errorf("%s does not run (%w): %s", path, err, install)
	}
	var major, minor int
	if _, err := fmt.Sscan(string(version), &major, &minor); err != nil {
		return "", fmt.Errorf("%s does not tell its version: %s", path, install)
	}
	if major != 3 || minor < oldest {
		return "", errors.New(path + " is Python " + strconv.Itoa(major) + "." + strconv.Itoa(minor) + ", too old: " + install)
	}
	if err := exec.CommandContext(ctx, path, "-I", "-c", "import venv, ensurepip").Run(); err != nil {
		return "", errors.New(path + " lacks its venv or ensurepip module: install it (Debian, Ubuntu: apt install python3-venv)")
	}
	return path, nil
}

// command runs a program to its end; its error holds the last lines of output.
// pip needs the shell's environment: proxies and the address of a mirror are set there.
func command(ctx context.Context, path string, args ...string) error {
	output, err := process.Run(ctx, exec.CommandContext(ctx, path, args...))
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %s", err, process.LastLines(output, 5))
	}
	return err
}
