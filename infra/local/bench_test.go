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
		"`POST /exports/csv` \\| 20 \\| 20 \\| " + pair + ` \| under 50: [a-z*]+ \| ` + pair + ` \| 2\.0 \| `,        // a transaction and a message
		"`GET /exports/{id}/status` \\| 20 \\| 20 \\| " + pair + ` \| under 50: [a-z*]+ \| ` + pair + ` \| 2\.0 \| `, // the export waits: its place, too
		`while 3 exports run \| 20 \| [1-9][0-9]* \| ` + pair + ` \| none \| ` + pair + ` \| [12]\.[0-9] \| `,
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

// TestBenchStart measures every function and route that the template has, each
// cold and warm.
func TestBenchStart(t *testing.T) {
	hostileShell(t)
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(file, []byte("<!-- bench-start: begin -->\n<!-- bench-start: end -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t.Context(), "bench-start", "-stack", "start-test", "-starts", "2", "-requests", "3", "-write", file)
	if code != 0 {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	template, err := os.ReadFile(filepath.Join("..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^            Method: ([A-Z]+)\n            Path: (.+)$`).FindAllStringSubmatch(string(template), -1) {
		want = append(want, regexp.QuoteMeta("| `"+m[1]+" "+m[2]+"` | "))
	}
	if len(want) < 7 {
		t.Fatalf("the template has routes %q, want more", want)
	}
	const number = `[0-9.]+`
	const pair = number + ` / ` + number
	for _, f := range regexp.MustCompile(`(?m)^  ([A-Za-z]+Function):$`).FindAllStringSubmatch(string(template), -1) {
		want = append(want, `\| `+f[1]+` \| 2 \| `+pair+` \| `+pair+` \| 3 \| `+pair+` \| `, `\| `+f[1]+` \| [1-9][0-9]*\.[0-9] \|`)
	}
	want = append(want, `a message \(export of a small table\) \| RunExportFunction .* \| completed \|`, "`GET /exports/\\{id\\}/download` .* \\| 302 \\|")
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(stdout) {
			t.Errorf("the tables have no line like %s", w)
		}
	}
	if t.Failed() {
		t.Log(stdout)
	}
	if written, err := os.ReadFile(file); err != nil || !strings.Contains(string(written), strings.TrimSpace(stdout)) {
		t.Errorf("the file holds %q, error %v", written, err)
	}
}

func TestBenchStart_CommandLine(t *testing.T) {
	if code, _, stderr := call(t.Context(), "bench-start", "-starts", "0"); code != 2 || !strings.Contains(stderr, "-starts 0") {
		t.Errorf("-starts 0: status %d, says %q", code, stderr)
	}
	if code, _, stderr := call(t.Context(), "run", "-pooler", "always"); code != 2 || !strings.Contains(stderr, "-pooler always") {
		t.Errorf("-pooler always: status %d, says %q", code, stderr)
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
