package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var demoOK = regexp.MustCompile(`\ndemo: ok rows=3000 seconds=\d+\.\d{3} rows_per_second=\d+ gzip_bytes=\d+ file=(.+)\n$`)

// The demo is the proof that a person sees. It must be one: with a fault in
// the query that makes the rows, it fails.
func TestDemo(t *testing.T) {
	name := stackName("demo")
	clean(t, name)

	t.Run("right", func(t *testing.T) {
		out, code := runCommand(t, nil, "make", "--no-print-directory", "-C", root, "demo", "ROWS=3000", "PORT=0", "STACK="+name)
		m := demoOK.FindStringSubmatch(out)
		if code != 0 || m == nil {
			t.Fatalf("status %d\n%s", code, out)
		}
		if _, err := os.Stat(m[1]); err != nil {
			t.Error(err)
		}
		if !strings.Contains(out, "run-export") {
			t.Errorf("the worker's log isn't named:\n%s", out)
		}
	})

	const sql = "internal/source/sql.go"
	const columns = `"SELECT " + strings.Join(columns, ", ")`
	const where = `boundsSQL(sel, rng) + orderSQL(p, rng)`
	faults := map[string]struct{ replace, by string }{
		"a missing row":  {where, `" AND id <> 77" + ` + where},
		"a changed byte": {columns, `"SELECT " + strings.Replace(strings.Join(columns, ", "), "\"email\"", "CASE id WHEN 77 THEN overlay(email placing 'X' from 3 for 1) ELSE email END AS email", 1)`},
	}
	for fault, f := range faults {
		t.Run(fault, func(t *testing.T) {
			flags := overlay(t, sql, f.replace, f.by)
			out, code := runLocal(t, []string{flags}, "demo", "-root", root, "-stack", name, "-port", "0", "-rows", "3000")
			if code == 0 || strings.Contains(out, "demo: ok") || !strings.Contains(out, "demo: FAILED ") {
				t.Errorf("status %d\n%s", code, out)
			}
		})
	}
}

// overlay returns the GOFLAGS that make the go command see a changed file of
// the project, which stays as it is.
func overlay(t *testing.T, path, replace, by string) string {
	t.Helper()
	source := filepath.Join(root, path)
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), replace); n != 1 {
		t.Fatalf("%s holds %q %d times, want once: plant the fault elsewhere", path, replace, n)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), replace, by, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return "GOFLAGS=" + os.Getenv("GOFLAGS") + " -overlay=" + file
}
