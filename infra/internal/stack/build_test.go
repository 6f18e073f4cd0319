package stack_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"csvexport/infra/internal/stack"
	"csvexport/infra/internal/template"
)

// A stack's programs are those of the last one, unless they would be others.
func TestBuild(t *testing.T) {
	functions := []template.Function{{CodeURI: "functions/health/"}}
	project := t.TempDir() // so that no other stack's programs are used, and none are replaced
	for _, name := range []string{"functions", "internal", "go.mod", "go.sum"} {
		whole, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(whole, filepath.Join(project, name)); err != nil {
			t.Fatal(err)
		}
	}
	build := func() []byte {
		t.Helper()
		dir := t.TempDir()
		if err := stack.Build(t.Context(), project, dir, functions); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "health")
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Fatalf("the program is %v (%v)", info, err)
		}
		return read(t, path)
	}
	first := build()
	// Bytes behind a program's end change nothing of it, and show whose it is.
	kept, mark := filepath.Join(project, ".local", ".tools", "functions", "health"), []byte("of the last stack")
	if err := os.WriteFile(kept, append(read(t, kept), mark...), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := build(); !bytes.HasPrefix(again, first) || !bytes.HasSuffix(again, mark) {
		t.Error("the same program was linked again")
	}
	t.Setenv("GOFLAGS", "-gcflags=-N")
	if other := build(); bytes.HasPrefix(other, first) || bytes.HasSuffix(other, mark) {
		t.Error("another build gives the last stack's program")
	}
	t.Setenv("GOFLAGS", "")
	if back := build(); !bytes.Equal(back, first) {
		t.Error("what another build left is used for this one")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
