package function

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"

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

// Every line of an invocation says which one it is, whoever writes it and
// whatever else it says.
func TestInvocations(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(invocations{slog.NewJSONHandler(&out, nil)})
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "r-7"})
	for name, test := range map[string]struct {
		ctx  context.Context
		log  *slog.Logger
		want any
	}{
		"plain":                {ctx, log, "r-7"},
		"with members":         {ctx, log.With("exportId", "1").With("attempt", 2), "r-7"},
		"before an invocation": {t.Context(), log.With("exportId", "1"), nil},
	} {
		out.Reset()
		test.log.InfoContext(test.ctx, "m")
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["lambdaRequestId"] != test.want {
			t.Errorf("%s: %s (%v)", name, out.Bytes(), err)
		}
	}
}
