// Command sweep is the function behind the schedule: it repairs what crashes
// and lost messages left behind.
package main

import (
	"context"

	"csvexport/internal/config"
	"csvexport/internal/function"
	"csvexport/internal/wiring"
)

func main() { function.Start(build, config.Table, config.Queue, config.Bucket, config.Notices) }

func build(ctx context.Context, cfg config.Config) (any, error) {
	s, err := wiring.Sweeper(ctx, cfg, "sweep")
	if err != nil {
		return nil, err
	}
	return s.Sweep, nil
}
