package stack_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"csvexport/infra/internal/process"
	"csvexport/infra/internal/stack"
)

// held keeps hold's folders from the garbage collector, which would close their locks.
var held []*stack.Folder

// hold is the main function of a program that holds the stacks "held" and, ephemeral, "run-1" until SIGTERM.
func hold(root string) {
	first, err := stack.Open(root, "held", false)
	if err == nil {
		var second *stack.Folder
		second, err = stack.Open(root, "run-1", true)
		held = append(held, first, second)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("holding")
	select {}
}

// holder starts a process that runs hold, and returns once it does.
func holder(t *testing.T, root string) *process.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	p, err := process.Start(process.Spec{Path: self, Env: []string{"STACK_TEST_HOLD=" + root}, Stdout: w, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "holding\n" {
		t.Fatalf("the holder says %q, error %v", line, err)
	}
	return p
}

func sleeper(t *testing.T) (pid int, identity string) {
	t.Helper()
	p, err := process.Start(process.Spec{Path: "/bin/sleep", Args: []string{"600"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	identity, err = process.Identity(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	return p.PID(), identity
}

func TestOpen_HeldByAnother(t *testing.T) {
	root := t.TempDir()
	first, err := stack.Open(root, "dev", false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stack.Open(root, "dev", false)
	var running *stack.RunningError
	if !errors.As(err, &running) || running.Owner.PID != os.Getpid() || strings.Contains(err.Error(), "\n") {
		t.Errorf("second Open: %v; want one line that names process %d", err, os.Getpid())
	}
	other, err := stack.Open(root, "other", false)
	if err != nil {
		t.Fatalf("another stack beside it: %v", err)
	}
	for _, f := range []*stack.Folder{first, other} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	again, err := stack.Open(root, "dev", false)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpen_BadName(t *testing.T) {
	for _, name := range []string{"", "venv", "Dev", "1st", "../up", "a/b", strings.Repeat("x", 32)} {
		if _, err := stack.Open(t.TempDir(), name, false); err == nil {
			t.Errorf("the name %q is accepted", name)
		}
	}
}

func TestOpen_EndsLeftovers(t *testing.T) {
	root := t.TempDir()
	killed, err := stack.Open(root, "dev", false)
	if err != nil {
		t.Fatal(err)
	}
	pid, identity := sleeper(t)
	if err := killed.Started("S3", pid); err != nil {
		t.Fatal(err)
	}
	survivor, survives := sleeper(t)
	record, err := os.ReadFile(killed.Path("processes.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	// As a killed program leaves it; the second record's process id has been reused.
	record = fmt.Appendf(bytes.TrimRight(record, "]\n"), `, {"name": "reused", "pid": %d, "identity": "another"}]`, survivor)
	if err := os.WriteFile(killed.Path("processes.json"), record, 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := stack.Open(root, "dev", false)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if process.Running(pid, identity) {
		t.Error("the recorded process runs on")
	}
	if !process.Running(survivor, survives) {
		t.Error("a process that only has a recorded id was killed")
	}
}

func TestOpen_RemovesDeadEphemeral(t *testing.T) {
	root := t.TempDir()
	p := holder(t, root)
	folder := filepath.Join(root, ".local", "run-1")
	open := func() {
		t.Helper()
		f, err := stack.Open(root, "dev", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open()
	if _, err := os.Stat(folder); err != nil {
		t.Fatalf("a living ephemeral stack was removed: %v", err)
	}
	p.Kill()
	<-p.Done()
	open()
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("a dead ephemeral stack is still there: %v", err)
	}
}

func TestDown(t *testing.T) {
	root := t.TempDir()
	down := func(clean bool, want string) {
		t.Helper()
		var out bytes.Buffer
		if err := stack.Down(t.Context(), root, "held", clean, &out); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("Down says %q, error %v; want %q", out.String(), err, want)
		}
	}
	down(false, "does not run")
	p := holder(t, root)
	identity, err := process.Identity(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	down(false, fmt.Sprintf("stopped the stack %q (process %d)", "held", p.PID()))
	if process.Running(p.PID(), identity) {
		t.Error("the program runs on")
	}
	down(true, "removed the data")
	if _, err := os.Stat(filepath.Join(root, ".local", "held")); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}
