package python_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"csvexport/infra/internal/python"
)

// lock is a list of no packages: an environment without downloads.
func lock(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnsure_BadInterpreters(t *testing.T) {
	tests := map[string]struct{ script, want string }{
		"none":         {"", "no python3 on PATH: install Python 3.10 or later"},
		"too old":      {`echo 3 9`, "is Python 3.9, too old: install Python 3.10 or later"},
		"Python 4":     {`echo 4 0`, "is Python 4.0, too old"},
		"no ensurepip": {`case "$*" in *ensurepip*) exit 1;; esac; echo 3 12`, "apt install python3-venv"},
		"broken":       {`exit 127`, "does not run"},
		"talks":        {`echo hello`, "does not tell its version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir, bin := t.TempDir(), t.TempDir()
			t.Setenv("PATH", bin)
			if tt.script != "" {
				script := "#!/bin/sh\n" + tt.script + "\n"
				if err := os.WriteFile(filepath.Join(bin, "python3"), []byte(script), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			_, err := python.Ensure(t.Context(), filepath.Join(dir, "venv"), python.Packages{Lock: lock(t, dir, ""), Oldest: 10}, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q; want one line with %q", err, tt.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "venv")); !os.IsNotExist(err) {
				t.Errorf("it left an environment behind: %v", err)
			}
		})
	}
}

func TestEnsure(t *testing.T) {
	dir := t.TempDir()
	venv, list := filepath.Join(dir, "venv"), lock(t, dir, "# no packages\n")

	var mu sync.Mutex
	var out bytes.Buffer
	made := func() int { // how often it was made by now
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(out.String(), "installing")
	}
	ensure := func() {
		t.Helper()
		env, err := python.Ensure(t.Context(), venv, python.Packages{Lock: list, Oldest: 10}, writer(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return out.Write(p)
		}))
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := os.Stat(env.Python()); err != nil {
			t.Error(err)
		}
	}

	var both sync.WaitGroup
	both.Go(ensure)
	both.Go(ensure)
	both.Wait()
	if made() != 1 {
		t.Fatalf("two calls at once made it %d times, want once\n%s", made(), out.String())
	}

	if err := os.Remove(filepath.Join(venv, "complete")); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(venv, "lib", "leftover")
	if err := os.WriteFile(leftover, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ensure()
	if _, err := os.Stat(leftover); made() != 2 || !os.IsNotExist(err) {
		t.Errorf("a half-made environment was not made anew: made %d times, leftover: %v", made(), err)
	}

	lock(t, dir, "ministack==1.5.33\n") // another list, and without a hash
	if _, err := python.Ensure(t.Context(), venv, python.Packages{Lock: list, Oldest: 10}, &out); err == nil || !strings.Contains(err.Error(), "hash") {
		t.Errorf("a package without a hash: error %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
