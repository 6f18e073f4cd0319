package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"csvexport/infra/internal/process"
)

// endOrphans finds the server's processes by their working directory, which is
// the data folder, and removes the note of the server that no longer runs.
func endOrphans(data string) error {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			return err
		}
		identity, err := process.Identity(pid)
		if err != nil {
			continue // it has ended
		}
		if cwd, err := os.Readlink(filepath.Join(entry, "cwd")); err != nil || cwd != data {
			continue
		}
		if err := process.KillIfSame(pid, identity); err != nil {
			return err
		}
		for deadline := time.Now().Add(5 * time.Second); process.Running(pid, identity); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d works on %s and does not end", pid, data)
			}
		}
	}
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
