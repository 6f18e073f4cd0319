package function

import (
	"bytes"
	"context"
	"encoding/json"
	"log"
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
	lines := slog.New(invocations{slog.NewJSONHandler(&out, nil)})
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "r-7"})
	for name, test := range map[string]struct {
		ctx  context.Context
		log  *slog.Logger
		want any
	}{
		"plain":                {ctx, lines, "r-7"},
		"with members":         {ctx, lines.With("exportId", "1").With("attempt", 2), "r-7"},
		"before an invocation": {t.Context(), lines.With("exportId", "1"), nil},
	} {
		out.Reset()
		test.log.InfoContext(test.ctx, "m")
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["lambdaRequestId"] != test.want {
			t.Errorf("%s: %s (%v)", name, out.Bytes(), err)
		}
	}
}

// Why an invocation failed is told by the Lambda library, through log; no level
// of the log may hide it.
func TestLog_library(t *testing.T) {
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	var out bytes.Buffer
	setLog(config.Config{StackName: "prod", LogLevel: slog.LevelError}, &out)
	log.Print(`{"errorMessage":"repair export 7"}`)
	var line struct{ Level, Msg, Stack string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "ERROR" || line.Stack != "prod" || !strings.Contains(line.Msg, "repair export 7") {
		t.Errorf("line %q (%v)", out.String(), err)
	}
}
