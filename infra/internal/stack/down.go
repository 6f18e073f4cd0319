package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"csvexport/infra/internal/process"
)

const downTimeout = 60 * time.Second // for a stack to end in good order

// Down stops the stack of that name: it asks the program that runs it to end,
// kills it after a minute, and ends whatever a killed one left behind. With clean it
// also removes the stack's data, rows included. It tells out what it did;
// that nothing runs is no error.
func Down(ctx context.Context, root, name string, clean bool, out io.Writer) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("stack name %q is not valid", name)
	}
	if _, err := os.Stat(filepath.Join(local(root), name)); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(out, "the stack %q does not run\n", name)
		return nil
	}
	f, stopped, err := seize(ctx, root, name)
	if err != nil {
		return err
	}
	left, err := f.endLeftovers()
	switch {
	case stopped.PID != 0:
		fmt.Fprintf(out, "stopped the stack %q (process %d)\n", name, stopped.PID)
	case len(left) > 0:
		fmt.Fprintf(out, "the stack %q had been killed; ended %d processes that it left\n", name, len(left))
	default:
		fmt.Fprintf(out, "the stack %q does not run\n", name)
	}
	if err == nil && clean {
		err = f.remove()
		fmt.Fprintf(out, "removed the data of the stack %q\n", name)
	}
	return errors.Join(err, f.lock.Release())
}

// seize takes a stack's folder away from the program that holds it, by ending
// that program, which it returns if there was one.
func seize(ctx context.Context, root, name string) (f *Folder, stopped Process, err error) {
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		f, err := take(root, name)
		var running *RunningError
		if !errors.As(err, &running) {
			return f, stopped, err
		}
		if p := running.Owner; p != stopped && p.PID != 0 {
			if err := process.SignalIfSame(p.PID, p.Identity, syscall.SIGTERM); err != nil {
				return nil, p, err
			}
			stopped = p
		}
		select {
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return nil, stopped, context.Cause(ctx)
			}
			if err := endProcess(stopped); err != nil {
				return nil, stopped, err
			}
			f, err := take(root, name)
			return f, stopped, err
		case <-tick.C:
		}
	}
}
