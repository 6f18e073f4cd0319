package functions_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// matches returns what the pattern's first group finds, sorted and each once.
func matches(pattern, text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// What alarms and the dashboard watch is what the code writes, and what it
// writes is on the dashboard: an alarm of a name that nobody writes never rings.
func TestMetrics(t *testing.T) {
	written := matches(`Name = "([A-Za-z]+)"`, read(t, "../internal/metrics/metrics.go"))
	template := read(t, "../template.yaml")
	alarms := matches(`Namespace: CSVExport\n      MetricName: ([A-Za-z]+)\n      Dimensions: \[\{ Name: stack,`, template)
	if n := strings.Count(template, "Namespace: CSVExport"); n != len(alarms) || n == 0 {
		t.Errorf("%d alarms of our own metrics, %d of them in order", n, len(alarms))
	}
	for _, name := range alarms {
		if !slices.Contains(written, name) {
			t.Errorf("an alarm watches %s, which nobody writes", name)
		}
	}
	shown := matches(`\["CSVExport", "([A-Za-z]+)", "stack", "\$\{AWS::StackName\}"`, template)
	if !slices.Equal(shown, written) {
		t.Errorf("the dashboard shows %v, the code writes %v", shown, written)
	}
	described := read(t, "../docs/operations.md")
	for _, name := range written {
		if !strings.Contains(described, "`"+name+"`") {
			t.Errorf("docs/operations.md doesn't say what %s is", name)
		}
	}
}

// Whoever an alarm wakes finds what it means and what to do.
func TestAlarms(t *testing.T) {
	alarms := matches(`(?m)^  ([A-Za-z]+Alarm):$`, read(t, "../template.yaml"))
	sections := matches(`(?m)^### ([A-Za-z]+Alarm)$`, read(t, "../docs/operations.md"))
	if !slices.Equal(alarms, sections) || len(alarms) == 0 {
		t.Errorf("template.yaml has the alarms %v, docs/operations.md describes %v", alarms, sections)
	}
	for _, section := range strings.Split(read(t, "../docs/operations.md"), "\n### ") {
		name, text, _ := strings.Cut(section, "\n")
		if slices.Contains(alarms, name) && (!strings.Contains(text, "- Look: ") || !strings.Contains(text, "- Do: ")) {
			t.Errorf("%s doesn't say what to look at and what to do", name)
		}
	}
}
