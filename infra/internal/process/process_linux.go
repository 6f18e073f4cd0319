package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// await waits for the process to become a zombie, ends the rest of its group
// while the zombie still reserves the id, and only then reaps it.
func (p *Process) await() error {
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.end()
	return p.cmd.Wait()
}

// identity is the boot's id and the start time in clock ticks since then:
// field 22 of /proc/PID/stat, see proc_pid_stat(5).
func identity(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return "", fmt.Errorf("identify process %d: %w", pid, err)
	}
	// The command's name, field 2, may hold blanks and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, startTime = 0, 19 // fields 3 and 22
	if len(fields) <= startTime {
		return "", fmt.Errorf("identify process %d: its stat file has %d fields", pid, len(fields)+2)
	}
	if s := fields[state]; s == "Z" || s == "X" {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("identify process %d: %w", pid, err)
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[startTime], nil
}
