package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLoad sends one crowd. How long quiet owners wait is told, not judged, on a
// machine that does much else; that none is refused and no export lost is judged by the command.
func TestLoad(t *testing.T) {
	hostileShell(t)
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(file, []byte("<!-- load: begin -->\n<!-- load: end -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t.Context(), "load", "-stack", "load-test", "-rounds", "1", "-write", file)
	fair := strings.Contains(stdout, "at most 2: met")
	if (code == 0) != fair || code > 1 {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{
		`200 requests at once in each: 1[0-9]{2} × 202, [0-9]+ × 429 in all; no other answer`, // the quiet owners' 68, and three quotas of 20 at least
		`\| 17 quiet owners alone \| 68 \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \|`,
		`\| the quiet owners, beside 3 noisy ones \| 68 \| `,
		`\| the noisy owners \| [6-9][0-9] \| `,
		"`POST /exports/csv` \\| 200 \\| [0-9]+ \\| [0-9.]+ / [0-9.]+ \\| none \\| ",
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("the tables have no line like %s", want)
		}
	}
	if t.Failed() {
		t.Log(stdout)
	}
	if written, err := os.ReadFile(file); err != nil || !strings.Contains(string(written), strings.TrimSpace(stdout)) {
		t.Errorf("the file holds %q, error %v", written, err)
	}
	if code, _, stderr := call(t.Context(), "load", "-rounds", "0"); code != 2 || !strings.Contains(stderr, "-rounds 0") {
		t.Errorf("-rounds 0: status %d, says %q", code, stderr)
	}
}
