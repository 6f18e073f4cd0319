package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"csvexport/infra/internal/process"
)

// TestBenchAPI measures a little, and looks at what only a right attribution gives.
func TestBenchAPI(t *testing.T) {
	hostileShell(t)
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(file, []byte("# Title\n\n<!-- bench-api: begin -->\n<!-- bench-api: end -->\n\nTail.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t.Context(), "bench-api", "-stack", "bench-test", "-rows", "5000", "-requests", "20", "-write", file)
	if code != 0 {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	const number = `[0-9.]+`
	const pair = number + ` / ` + number
	for _, want := range []string{
		"`GET /health` \\| 1 \\| 4 \\| " + pair + ` \| under 10: [a-z*]+ \| none \| 0\.0 \| `,
		"`GET /health` \\| 20 \\| [0-9]+ \\| " + pair + ` \| under 10: [a-z*]+ \| none \| 0\.0 \| `,
		"`POST /exports/csv` \\| 20 \\| 20 \\| " + pair + ` \| under 50: [a-z*]+ \| ` + pair + ` \| 2\.0 \| `, // a transaction and a message
		"`GET /exports/{id}/status` \\| 20 \\| 20 \\| " + pair + ` \| under 50: [a-z*]+ \| ` + pair + ` \| 1\.0 \| `,
		`while 3 exports run \| 20 \| [1-9][0-9]* \| ` + pair + ` \| none \| ` + pair + ` \| 1\.0 \| `,
		`\| CreateExportFunction \| ` + number + `, ` + number + ` \| [1-9][0-9]* \| `,
		`run-export, 5000 rows \| peak memory, MB of 1769 `,
		`3 exports at once, the largest \| `,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("the tables have no line like %s", want)
		}
	}
	if t.Failed() {
		t.Log(stdout)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "# Title\n\n<!-- bench-api: begin -->\n\n", "\n\n<!-- bench-api: end -->\n\nTail.\n"
	if text := string(written); text != begin+strings.TrimSpace(stdout)+end {
		t.Errorf("the file holds:\n%s", text)
	}
	if !strings.Contains(stderr, "written into "+file) {
		t.Errorf("says %q", stderr)
	}
}

func TestBenchAPI_CommandLine(t *testing.T) {
	if code, _, stderr := call(t.Context(), "bench-api", "-h"); code != 0 || !strings.Contains(stderr, "-requests int") || !strings.Contains(stderr, "-write string") {
		t.Errorf("-h: status %d, says %q", code, stderr)
	}
	if code, _, stderr := call(t.Context(), "bench-api", "-requests", "0"); code != 2 || !strings.Contains(stderr, "-requests 0") {
		t.Errorf("-requests 0: status %d, says %q", code, stderr)
	}
}

// TestBenchAPI_Interrupted ends everything that it started.
func TestBenchAPI_Interrupted(t *testing.T) {
	const name = "bench-interrupted"
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	var program sync.WaitGroup
	var code int
	var stderr string
	ended := make(chan struct{})
	program.Go(func() {
		defer close(ended)
		code, _, stderr = call(ctx, "bench-api", "-stack", name, "-rows", "1000")
	})
	state := waitServing(t, name, ended)
	interrupt(errInterrupted)
	program.Wait()
	if code != 130 {
		t.Errorf("status %d, says %q", code, stderr)
	}
	for _, p := range state.Processes {
		if process.Running(p.PID, p.Identity) {
			t.Errorf("%s (process %d) runs on", p.Name, p.PID)
		}
	}
	if _, err := os.Stat(filepath.Join("..", "..", ".local", name)); !os.IsNotExist(err) {
		t.Errorf("the stack's folder is still there: %v", err)
	}
}
