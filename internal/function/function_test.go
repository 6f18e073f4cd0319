package function

import (
	"context"
	"strings"
	"testing"

	"csvexport/internal/config"
)

func TestLoad(t *testing.T) {
	built := 0
	build := func(_ context.Context, cfg config.Config) (any, error) {
		built++
		return cfg.TableName, nil
	}
	environment := map[string]string{"TABLE_NAME": "exports"}
	getenv := func(name string) string { return environment[name] }
	if handler, err := load(t.Context(), getenv, build, []config.Setting{config.Table}); err != nil || handler != "exports" {
		t.Errorf("handler %v, error %v", handler, err)
	}
	// A function whose settings are wrong says so, and does nothing else.
	_, err := load(t.Context(), getenv, build, []config.Setting{config.Table, config.Queue, config.Bucket})
	if err == nil || !strings.Contains(err.Error(), "QUEUE_URL") || !strings.Contains(err.Error(), "BUCKET_NAME") || built != 1 {
		t.Errorf("error %v after %d builds, want one that names what is missing", err, built)
	}
}
