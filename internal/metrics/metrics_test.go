package metrics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/config"
	"csvexport/internal/metrics"
)

// A line is what the specification of the embedded metric format asks for: at
// its root _aws, with a time in milliseconds and the declarations, and for each
// declared metric and dimension a member of that name.
func TestEmit(t *testing.T) {
	var out bytes.Buffer
	log := config.Config{StackName: "prod", LogLevel: slog.LevelError}.Logger(&out).With("exportId", "7")
	before := time.Now().UnixMilli()
	metrics.Emit(t.Context(), log, metrics.Count(metrics.Completed), metrics.Value{Name: metrics.Bytes, Value: 1 << 40}, metrics.Seconds(metrics.RunSeconds, 1500*time.Millisecond))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	aws, _ := line["_aws"].(map[string]any)
	at, _ := aws["Timestamp"].(float64)
	if int64(at) < before || int64(at) > time.Now().UnixMilli() {
		t.Errorf("timestamp %v", aws["Timestamp"])
	}
	want := []any{map[string]any{
		"Namespace": "CSVExport", "Dimensions": []any{[]any{"stack"}},
		"Metrics": []any{
			map[string]any{"Name": "ExportsCompleted", "Unit": "Count"},
			map[string]any{"Name": "Bytes", "Unit": "Bytes"},
			map[string]any{"Name": "RunSeconds", "Unit": "Seconds"},
		},
	}}
	if diff := cmp.Diff(want, aws["CloudWatchMetrics"]); diff != "" {
		t.Errorf("declared (-want +got):\n%s", diff)
	}
	for name, value := range map[string]string{
		"stack": "prod", "exportId": "7", "ExportsCompleted": "1", "Bytes": fmt.Sprint(float64(1 << 40)), "RunSeconds": "1.5", "level": "METRIC",
	} {
		if got := fmt.Sprint(line[name]); got != value {
			t.Errorf("%s = %s, want %s", name, got, value)
		}
	}
}
