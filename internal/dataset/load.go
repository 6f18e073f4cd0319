package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Load returns the catalog that a setting names: none for Default, the path of
// a file, or s3://BUCKET/KEY, which read gets. The error names every problem of
// the catalog; see Parse.
func Load(ctx context.Context, setting string, read func(ctx context.Context, bucket, key string) ([]byte, error)) (*Catalog, error) {
	if setting == "" {
		return Default(), nil
	}
	var text []byte
	var err error
	if location, inS3 := strings.CutPrefix(setting, "s3://"); inS3 {
		bucket, key, _ := strings.Cut(location, "/")
		if bucket == "" || key == "" {
			return nil, fmt.Errorf("DATASETS is %s: want s3://BUCKET/KEY", setting)
		}
		text, err = read(ctx, bucket, key)
	} else {
		text, err = os.ReadFile(setting)
	}
	if err != nil {
		return nil, fmt.Errorf("read the datasets: %w", err)
	}
	c, err := Parse(filepath.Base(setting), text)
	if err != nil {
		return nil, fmt.Errorf("datasets:\n%w", err)
	}
	return c, nil
}
