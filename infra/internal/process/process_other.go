//go:build !linux

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// await reaps the process and ends the rest of its group.
func (p *Process) await() error {
	err := p.cmd.Wait()
	p.end()
	return err
}

// identity is the start time, to the second, as ps tells it.
func identity(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	var exit *exec.ExitError
	switch fields := strings.Fields(string(out)); {
	case errors.As(err, &exit) || err == nil && len(fields) == 0:
		return "", fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	case err != nil:
		return "", fmt.Errorf("identify process %d: %w", pid, err)
	case strings.HasPrefix(fields[0], "Z"):
		return "", fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	default:
		return strings.Join(fields[1:], " "), nil
	}
}
