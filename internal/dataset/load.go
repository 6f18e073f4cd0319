package dataset

import (
	"context"
	"fmt"
	"path/filepath"
)

// Load returns the catalog that a setting names: none for Default, or what read
// gets. The error names every problem of the catalog; see Parse.
func Load(ctx context.Context, setting string, read func(ctx context.Context, place string) ([]byte, error)) (*Catalog, error) {
	if setting == "" {
		return Default(), nil
	}
	text, err := read(ctx, setting)
	if err != nil {
		return nil, fmt.Errorf("read the datasets: %w", err)
	}
	c, err := Parse(filepath.Base(setting), text)
	if err != nil {
		return nil, fmt.Errorf("datasets:\n%w", err)
	}
	return c, nil
}
