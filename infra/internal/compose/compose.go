// Package compose reads docker-compose.yml as docker compose itself does: by
// its schema, and with the defaults of variables that nobody set.
//
// It is how servers on the host get the settings that they have in a
// container, so that the two can't differ.
package compose

import (
	"context"
	"fmt"
	"net"

	"github.com/compose-spec/compose-go/v2/cli"
)

// Service is what the host needs to know of a service.
type Service struct {
	Image       string
	Command     []string          // empty: the image's own
	Environment map[string]string // a variable without a value is left out
	Published   map[uint32]string // host:port on this machine by the container's port
}

// Load reads the services of a file by their names. The environment of this
// process isn't read.
func Load(ctx context.Context, file string) (map[string]Service, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithName("csvexport"))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	services := map[string]Service{}
	for name, s := range project.Services {
		service := Service{Image: s.Image, Command: s.Command, Environment: map[string]string{}, Published: map[uint32]string{}}
		for key, value := range s.Environment {
			if value != nil {
				service.Environment[key] = *value
			}
		}
		for _, p := range s.Ports {
			service.Published[p.Target] = net.JoinHostPort(p.HostIP, p.Published)
		}
		services[name] = service
	}
	return services, nil
}
