package functions_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests and faults that docs/design.md names as showing what a crash leads
// to are there.
func TestTransitions(t *testing.T) {
	_, table, found := strings.Cut(read(t, "../docs/design.md"), "| move | crash right before it |")
	table, _, _ = strings.Cut(table, "\n\n")
	if !found {
		t.Fatal("docs/design.md has no table of crashes")
	}
	var code strings.Builder
	for _, root := range []string{"../internal", "../infra"} {
		if err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") {
				code.WriteString(read(t, path))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	tests := matches("`(Test[A-Za-z_]+)`", table)
	if len(tests) < 10 {
		t.Errorf("only %v are named", tests)
	}
	for _, name := range tests {
		if !strings.Contains(code.String(), "func "+name+"(t *testing.T)") {
			t.Errorf("there is no %s", name)
		}
	}
	for row := range strings.Lines(strings.TrimSpace(table)) {
		if cells := strings.Split(row, "|"); len(cells) > 5 && !strings.HasPrefix(cells[1], "---") && !slices.ContainsFunc(cells[4:5], func(cell string) bool { return strings.Contains(cell, "Test") }) {
			t.Errorf("no test shows what a crash around %q leads to", strings.TrimSpace(cells[1]))
		}
	}
}
