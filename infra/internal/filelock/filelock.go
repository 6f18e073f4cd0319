// Package filelock takes locks that end with the process that holds them,
// however it ends.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrHeld is returned by Try when another process holds the lock.
var ErrHeld = errors.New("another process holds it")

const retryEvery = 50 * time.Millisecond

// Lock is a held lock: an exclusive flock(2) on a file.
type Lock struct{ file *os.File }

// Try takes the lock on path, which is created when absent, or fails with
// ErrHeld at once.
func Try(path string) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			if errors.Is(err, syscall.EWOULDBLOCK) {
				err = ErrHeld
			}
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if current(f, path) {
			return &Lock{f}, nil
		}
		// Its last holder removed the file after it was opened here.
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
	}
}

// Wait takes the lock on path as soon as it is free, until ctx is done.
func Wait(ctx context.Context, path string) (*Lock, error) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		l, err := Try(path)
		if err == nil || !errors.Is(err, ErrHeld) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func current(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// Write replaces the lock file's content, a note to those who find it held.
func (l *Lock) Write(note []byte) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	if _, err := l.file.WriteAt(note, 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}

// Release gives the lock up. The file stays.
func (l *Lock) Release() error { return l.file.Close() }
