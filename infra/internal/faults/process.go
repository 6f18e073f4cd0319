package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"csvexport/infra/internal/invariants"
	"csvexport/infra/internal/wire"
)

// worker is the name by which run-export calls AWS.
const worker = "run-export"

// pid is the process that made a call: the one that holds the connection.
// Linux tells by the connection's inode (proc(5), /proc/net/tcp).
func (t *trial) pid(c wire.Call) int {
	pid, err := t.caller(t.ctx, c)
	t.must(err)
	return pid
}

func (s *Suite) caller(ctx context.Context, c wire.Call) (int, error) {
	inode, err := inodeOf(c.Address, c.Proxy)
	if err != nil {
		return 0, err
	}
	processes, err := invariants.Processes(ctx, s.stack.State)
	if err != nil {
		return 0, err
	}
	for _, p := range processes {
		if holds(p.PID, inode) {
			return p.PID, nil
		}
	}
	return 0, fmt.Errorf("no function's process holds the connection of %s", c.Operation)
}

// inodeOf is the inode of the socket at the caller's end of a connection between
// two loopback addresses. One end doesn't tell: the kernel gives a port to
// several connections if their other ends differ.
func inodeOf(address, proxy string) (string, error) {
	from, err := procAddress(address)
	if err != nil {
		return "", err
	}
	to, err := procAddress(proxy)
	if err != nil {
		return "", err
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 9 && fields[1] == from && fields[2] == to && fields[9] != "0" {
			return fields[9], nil
		}
	}
	return "", fmt.Errorf("no socket connects %s with %s", address, proxy)
}

// procAddress is 127.0.0.1:PORT as /proc/net/tcp has it.
func procAddress(address string) (string, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("0100007F:%04X", number), nil
}

func holds(pid int, inode string) bool {
	links, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil { // it has ended
		return false
	}
	for _, link := range links {
		if name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, link.Name())); err == nil && name == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}

// kill ends a process as the kernel would, for want of memory.
func (t *trial) kill(pid int) { t.signal(pid, syscall.SIGKILL) }

// pause stops a process until resume.
func (t *trial) pause(pid int) {
	t.signal(pid, syscall.SIGSTOP)
	t.after(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // it may have gone on, and ended
}

func (t *trial) resume(pid int) { t.signal(pid, syscall.SIGCONT) }

func (t *trial) signal(pid int, s syscall.Signal) {
	if pid <= 1 || pid == os.Getpid() {
		t.fatalf("process %d is no worker", pid)
	}
	t.must(syscall.Kill(pid, s))
	t.strike()
}
