package servertest

import (
	"fmt"
	"maps"
	"testing"
)

// Metrics sums up what lines of Log tell CloudWatch to count, by the metric's
// name. Each line must have what every line about an export has, if it names
// one: its attempt, its dataset and its trace.
func Metrics(t testing.TB, lines []map[string]any) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for _, line := range lines {
		names := declared(line)
		for _, name := range names {
			value, ok := line[name].(float64)
			if !ok {
				t.Errorf("%s is declared and isn't a number of the line %v", name, line)
			}
			sums[name] += value
		}
		if len(names) == 0 || line["exportId"] == nil {
			continue
		}
		for _, member := range []string{"attempt", "fence", "dataset", "traceparent"} {
			if line[member] == nil || line[member] == "" {
				t.Errorf("a metric of an export has no %s: %v", member, line)
			}
		}
	}
	return sums
}

// declared returns the metrics that a line declares; none if it has no _aws.
func declared(line map[string]any) (names []string) {
	aws, _ := line["_aws"].(map[string]any)
	directives, _ := aws["CloudWatchMetrics"].([]any)
	for _, d := range directives {
		directive, _ := d.(map[string]any)
		definitions, _ := directive["Metrics"].([]any)
		for _, m := range definitions {
			metric, _ := m.(map[string]any)
			names = append(names, fmt.Sprint(metric["Name"]))
		}
	}
	return names
}

// WantMetrics compares the sums of Metrics; Some stands for any number that
// is there.
func WantMetrics(t testing.TB, lines []map[string]any, want map[string]float64) {
	t.Helper()
	got := Metrics(t, lines)
	if !maps.EqualFunc(want, got, func(want, got float64) bool { return want == got || want == Some && got >= 0 }) {
		t.Errorf("metrics %v, want %v (%v for any number)", got, want, float64(Some))
	}
}

// Some stands for any number in WantMetrics.
const Some = -1
