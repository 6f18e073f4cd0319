package functions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
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

// watched is what an alarm or a widget looks at.
type watched struct {
	where, namespace, metric string
	dimensions               map[string]string // values as template.yaml has them, without the function's name
}

// resource is one of template.yaml, with what alarms and the dashboard have.
type resource struct {
	Type       string
	Properties struct {
		Namespace     string
		MetricName    string
		Dimensions    []struct{ Name, Value string }
		AlarmActions  []any
		DashboardBody string
	}
}

func resources(t *testing.T) map[string]resource {
	t.Helper()
	var template struct {
		Resources map[string]resource `yaml:"Resources"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(read(t, "../template.yaml")), yaml.CustomUnmarshaler(func(r *resource, b []byte) error {
		var all struct {
			Type       string         `yaml:"Type"`
			Properties map[string]any `yaml:"Properties"`
		}
		if err := yaml.Unmarshal(b, &all); err != nil {
			return err
		}
		r.Type = all.Type
		if !strings.HasPrefix(r.Type, "AWS::CloudWatch::") {
			return nil
		}
		text, err := json.Marshal(all.Properties)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &r.Properties)
	}))
	if err := decoder.Decode(&template); err != nil {
		t.Fatal(err)
	}
	return template.Resources
}

// alarms returns what the alarms watch, by their names.
func alarms(t *testing.T, all map[string]resource) map[string]watched {
	t.Helper()
	found := map[string]watched{}
	for name, r := range all {
		if r.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		w := watched{name, r.Properties.Namespace, r.Properties.MetricName, map[string]string{}}
		for _, d := range r.Properties.Dimensions {
			w.dimensions[d.Name] = d.Value
		}
		found[name] = w
		if len(r.Properties.AlarmActions) == 0 {
			t.Errorf("%s tells nobody", name)
		}
	}
	return found
}

// widget is one of a dashboard's body ("Dashboard body structure and syntax" of
// the CloudWatch API Reference).
type widget struct {
	X, Y, Width, Height int
	Properties          struct {
		Title, Region, Stat string
		Metrics             [][]any
	}
}

func (w widget) overlaps(o widget) bool {
	return w.X < o.X+o.Width && o.X < w.X+w.Width && w.Y < o.Y+o.Height && o.Y < w.Y+w.Height
}

// dashboard returns what the widgets watch.
func dashboard(t *testing.T, all map[string]resource) []watched {
	t.Helper()
	var body struct{ Widgets []widget }
	if err := json.Unmarshal([]byte(all["Dashboard"].Properties.DashboardBody), &body); err != nil {
		t.Fatalf("the dashboard's body: %v", err)
	}
	var found []watched
	for i, w := range body.Widgets {
		p := w.Properties
		if w.X+w.Width > 24 || p.Title == "" || p.Stat == "" || p.Region != "${AWS::Region}" {
			t.Errorf("widget %q is beyond the 24 columns, or has no title, statistic or region", p.Title)
		}
		for _, o := range body.Widgets[:i] {
			if w.overlaps(o) {
				t.Errorf("widgets %q and %q overlap", p.Title, o.Properties.Title)
			}
		}
		for _, m := range p.Metrics {
			if _, options := m[len(m)-1].(map[string]any); options {
				m = m[:len(m)-1]
			}
			if len(m) < 2 || len(m)%2 != 0 {
				t.Errorf("%q: metric %v", p.Title, m)
				continue
			}
			seen := watched{p.Title, fmt.Sprint(m[0]), fmt.Sprint(m[1]), map[string]string{}}
			for i := 2; i < len(m); i += 2 {
				seen.dimensions[fmt.Sprint(m[i])] = strings.Trim(fmt.Sprint(m[i+1]), "${}")
			}
			found = append(found, seen)
		}
	}
	return found
}

// awsMetrics are those of AWS's own that are watched, each with its dimensions,
// as the services' developer guides name them.
var awsMetrics = map[string]map[string][]string{
	"AWS/SQS":        {"ApproximateAgeOfOldestMessage": {"QueueName"}},
	"AWS/Lambda":     {"Errors": {"FunctionName"}, "Invocations": {"FunctionName"}, "ConcurrentExecutions": {"FunctionName"}, "Throttles": {}},
	"AWS/ApiGateway": {"Count": {"ApiName", "Stage"}, "4XXError": {"ApiName", "Stage"}, "5XXError": {"ApiName", "Stage"}, "Latency": {"ApiName", "Stage"}},
}

// An alarm or a widget of a name that nobody writes shows nothing, for ever. So
// what they watch is what the code or AWS writes, with its dimensions; and what
// the code writes is on the dashboard and in the manual.
func TestMetrics(t *testing.T) {
	code := read(t, "../internal/metrics/metrics.go")
	written, all := matches(`Name = "([A-Za-z]+)"`, code), resources(t)
	known := map[string]map[string][]string{"CSVExport": {}}
	for _, name := range written {
		known["CSVExport"][name] = matches(`Dimension = "([a-z]+)"`, code)
	}
	maps.Copy(known, awsMetrics)
	check := func(w watched) {
		t.Helper()
		dimensions, there := known[w.namespace][w.metric]
		if got := slices.Sorted(maps.Keys(w.dimensions)); !there || !slices.Equal(got, dimensions) {
			t.Errorf("%s watches %s %s of %v, which nobody writes", w.where, w.namespace, w.metric, got)
		}
		for dimension, value := range w.dimensions {
			id, _, _ := strings.Cut(value, ".")
			if _, there := all[id]; !there && value != "AWS::StackName" {
				t.Errorf("%s: %s is %q, which template.yaml doesn't have", w.where, dimension, value)
			}
		}
	}
	ringing := alarms(t, all)
	if len(ringing) == 0 {
		t.Error("no alarms")
	}
	for _, w := range ringing {
		check(w)
	}
	var shown []string
	for _, w := range dashboard(t, all) {
		check(w)
		if w.namespace == "CSVExport" {
			shown = append(shown, w.metric)
		}
	}
	slices.Sort(shown)
	if shown = slices.Compact(shown); !slices.Equal(shown, written) {
		t.Errorf("the dashboard shows %v, the code writes %v", shown, written)
	}
	described := read(t, "../docs/operations.md")
	for _, name := range written {
		if !strings.Contains(described, "`"+name+"`") {
			t.Errorf("docs/operations.md doesn't say what %s is", name)
		}
	}
}

// CloudWatch drops a metric whose unit it doesn't know.
func TestMetrics_units(t *testing.T) {
	code := read(t, "../internal/metrics/metrics.go")
	names := matches(`(?m)^\t([A-Z][A-Za-z]+) +Name = "`, code)
	if units := matches(`([A-Z][A-Za-z]+): "(?:Count|Bytes|Seconds)"`, code); !slices.Equal(names, units) || len(names) == 0 {
		t.Errorf("metrics %v, those with a unit %v", names, units)
	}
}

// Whoever an alarm wakes finds what it means, what to look at, by a query of the
// log among others, and what to do.
func TestAlarms(t *testing.T) {
	ringing := slices.Sorted(maps.Keys(alarms(t, resources(t))))
	manual := read(t, "../docs/operations.md")
	sections := matches(`(?m)^### ([A-Za-z]+Alarm)$`, manual)
	if !slices.Equal(ringing, sections) || len(ringing) == 0 {
		t.Errorf("template.yaml has the alarms %v, docs/operations.md describes %v", ringing, sections)
	}
	for _, section := range strings.Split(manual, "\n### ") {
		name, text, _ := strings.Cut(section, "\n")
		if !slices.Contains(ringing, name) {
			continue
		}
		for _, want := range []string{"- Look: ", "`filter ", "- Do: "} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", name, want)
			}
		}
	}
}

// logging returns the lines of code that log.
func logging(t *testing.T) string {
	t.Helper()
	lines := regexp.MustCompile(`log\.|With\(|"requestId"|"status"`)
	var found strings.Builder
	for _, root := range []string{"../internal", "."} {
		if err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for line := range strings.Lines(read(t, path)) {
				if lines.MatchString(line) {
					found.WriteString(line)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return found.String()
}

// A query for a message or a field that nobody logs finds nothing, at night.
func TestQueries(t *testing.T) {
	code := logging(t)
	members := append(matches(`"([A-Za-z]+)",`, code), "msg")
	members = append(members, matches(`Name = "([A-Za-z]+)"`, read(t, "../internal/metrics/metrics.go"))...)
	queries := matches("(?s)`(filter [^`]+)`", read(t, "../docs/operations.md"))
	if len(queries) < 10 {
		t.Errorf("only %d queries", len(queries))
	}
	for _, query := range queries {
		for _, list := range matches(`msg (?:in|=) (\[[^\]]+\]|"[^"]+")`, query) {
			for _, message := range matches(`"([^"]+)"`, list) {
				if !strings.Contains(code, `"`+message+`"`) {
					t.Errorf("nobody logs %q: %s", message, query)
				}
			}
		}
		fields := matches(`(?:filter|and) ([A-Za-z]+) `, query)
		fields = append(fields, matches(`ispresent\(([A-Za-z]+)\)`, query)...)
		for _, list := range matches(`(?:display|stats count\(\) by) ([^|]+)`, query) {
			for field := range strings.SplitSeq(list, ",") {
				fields = append(fields, strings.TrimSpace(field))
			}
		}
		for _, field := range fields {
			if insights := strings.HasPrefix(field, "@") || strings.HasPrefix(field, "bin("); !insights && !slices.Contains(members, field) {
				t.Errorf("no line has the member %q: %s", field, query)
			}
		}
	}
}
