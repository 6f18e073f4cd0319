package process_test

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"csvexport/infra/internal/process"
)

func TestChildDiesWithKilledParent(t *testing.T) {
	read, write := io.Pipe()
	defer read.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, process.Spec{Path: self, Env: []string{"PROCESS_TEST_PARENT=1"}, Stdout: write, Stderr: os.Stderr})
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := process.Identity(child)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	<-p.Done()
	waitGone(t, child, identity)
}
