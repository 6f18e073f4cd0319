package lambda_test

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"csvexport/infra/internal/process"
)

func TestKilledHostLeavesNoProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	defer read.Close()
	host, err := process.Start(process.Spec{Path: self, Env: []string{"TEST_HOST=1"}, Stdout: write, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Kill()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := process.Identity(pid)
	if err != nil {
		t.Fatal(err)
	}
	host.Kill()
	<-host.Done()
	eventually(t, "the function's process ends", func() bool { return !process.Running(pid, identity) })
}
