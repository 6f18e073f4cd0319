package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBenchMemory measures tiny tables; the figures aren't looked at.
func TestBenchMemory(t *testing.T) {
	hostileShell(t)
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(file, []byte("<!-- bench-memory: begin -->\n<!-- bench-memory: end -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t.Context(), "bench-memory", "-stack", "bench-memory-test", "-rows", "20000", "-write", file)
	if code != 0 {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{
		`a row \| 1000 \| 0 \| [0-9.]+ \| \*\*`, `a row \| 5000 \| `, `a row \| 20000 \| `, `20 KB \| 10 \| 0 \| `, `20 KB \| 50 \| 1 \| `, `20 KB \| 200 \| 2 \| `,
		`first .COPY., 20000 rows \| -?[0-9]+ ms`, `.totalRows., 20000 rows \| `, `3 exports of 5000 rows at once`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("the tables have no line like %s", want)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(written), strings.TrimSpace(stdout)) {
		t.Errorf("the file (%v) holds:\n%s\nwant:\n%s", err, written, stdout)
	}
}

func TestBench_commandLine(t *testing.T) {
	for _, args := range [][]string{
		{"bench", "-rows", "0"},
		{"bench", "-rounds", "0"},
		{"bench", "-rounds", "101"},
		{"bench-memory", "-rows", "1999"},
		{"bench-memory", "-rounds", "5"},
	} {
		if code, _, stderr := call(t.Context(), args...); code != 2 || stderr == "" {
			t.Errorf("%v: status %d, says %q; want a wrong command line", args, code, stderr)
		}
	}
}
