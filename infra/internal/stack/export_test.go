package stack

import (
	"context"
	"errors"
)

// StopAndKeep stops servers as a stack that ends in good order does.
func StopAndKeep(ctx context.Context, f *Folder, s *Servers) error {
	return errors.Join(s.Stop(ctx), f.keep(s))
}

// Build compiles functions.
var Build = build
