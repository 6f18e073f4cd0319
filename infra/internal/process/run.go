package process

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
)

// Run runs a command, made by [exec.CommandContext] with ctx, to its end, and
// returns what it wrote to stdout and stderr, without blanks around. The error
// is ctx's cause if that is done.
func Run(ctx context.Context, cmd *exec.Cmd) (output string, err error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return strings.TrimSpace(out.String()), err
}

// LastLines returns the last n lines of an output, to be put behind an error.
func LastLines(output string, n int) string {
	lines := strings.Split(output, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
