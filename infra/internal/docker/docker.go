// Package docker reaches a Docker engine through its command-line client, and
// starts an engine where there is none.
package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Client talks to one engine.
type Client struct {
	Env []string // of the docker command, which says by DOCKER_HOST or a context which engine is meant
}

// Ping asks the engine for its version. The error says what is missing.
func (c Client) Ping(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("no docker on PATH")
	}
	_, err := c.run(ctx, "version", "--format", "{{.Server.Version}}")
	return err
}

// Gateway is the address of this machine in the network that containers have by
// default: what listens there can be reached from within them.
func (c Client) Gateway(ctx context.Context) (string, error) {
	out, err := c.run(ctx, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
	if err == nil && out == "" {
		err = errors.New("docker: the network named bridge has no gateway")
	}
	return out, err
}

// Build makes an image of the files, by their names in the build's folder; one
// of them is Dockerfile.
func (c Client) Build(ctx context.Context, tag string, files map[string]string) (err error) {
	dir, err := os.MkdirTemp("", "csvexport-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("build image %s: %w", tag, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			return err
		}
	}
	_, err = c.run(ctx, "build", "--quiet", "--tag", tag, dir)
	return err
}

// RemoveContainers ends and removes the containers with a label that have a
// folder below dir mounted.
func (c Client) RemoveContainers(ctx context.Context, label, dir string) error {
	ids, err := c.run(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+label)
	if err != nil || ids == "" {
		return err
	}
	format := "{{.Id}}{{range .Mounts}}\t{{.Source}}{{end}}"
	// One of them may end in between: what docker could tell of the others counts.
	out, inspect := c.run(ctx, append([]string{"inspect", "--format", format}, strings.Fields(ids)...)...)
	ours := []string{}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		for _, source := range fields[1:] {
			if strings.HasPrefix(source, dir+string(filepath.Separator)) {
				ours = append(ours, fields[0])
				break
			}
		}
	}
	if len(ours) == 0 {
		return nil
	}
	if _, err := c.run(ctx, append([]string{"rm", "--force"}, ours...)...); err != nil {
		return errors.Join(err, inspect)
	}
	return nil
}

// run returns what the command wrote, without the last line break; the error
// holds what it complained of.
func (c Client) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	// The classic builder does for a few files, and needs no plugin.
	cmd.Env = append(append([]string{}, c.Env...), "DOCKER_BUILDKIT=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(stdout.String()), err
}
