package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// requests is a record of schemathesis's report, of n requests that were
// answered alike; of status 0: not at all.
func requests(n int, method, path string, status int, check string) string {
	var cases, interactions []string
	for i := range n {
		cases = append(cases, fmt.Sprintf(`"c%d":{"value":{"method":%q,"path":%q}}`, i, method, path))
		response := `{"request":{}}`
		if status > 0 {
			response = fmt.Sprintf(`{"request":{},"response":{"status_code":%d}}`, status)
		}
		interactions = append(interactions, fmt.Sprintf(`"c%d":%s`, i, response))
	}
	return fmt.Sprintf(`{"ScenarioFinished":{"recorder":{"cases":{%s},"interactions":{%s},"checks":{"c0":[{"name":"x","status":%q}]}}}}`,
		strings.Join(cases, ","), strings.Join(interactions, ","), check) + "\n"
}

func TestTally(t *testing.T) {
	operations := []string{"GET /a/{id}", "POST /b"}
	good := `{"Initialize":{"seed":1}}` + "\n" +
		requests(200, "GET", "/a/{id}", 200, "success") + requests(800, "GET", "/a/{id}", 404, "success") +
		requests(990, "POST", "/b", 202, "success") + requests(10, "TRACE", "/b", 404, "success")
	for _, tt := range []struct {
		name, report string
		problems     []string
	}{
		{"all is well", good, nil},
		{"too few", good[:strings.LastIndex(good, `{"ScenarioFinished"`)], []string{"1990 requests; want at least 2000"}},
		{"too few 2xx", good + requests(1, "GET", "/a/{id}", 302, "success"), []string{"GET /a/{id}: a 2xx in 200 of 1001 requests; want at least a fifth"}},
		{"a 5xx", good + requests(1, "POST", "/b", 503, "success"), []string{"POST /b: a 5xx to 1 requests"}},
		{"a 5xx to another method", good + requests(1, "PUT", "/b", 500, "success"), []string{"other methods: a 5xx to 1 requests"}},
		{"no answer", good + requests(1, "POST", "/b", 0, "success"), []string{"POST /b: no answer to 1 requests"}},
		{"a check that failed", good + requests(1, "POST", "/b", 202, "failure"), []string{"1 checks failed"}},
		{"an operation without requests", requests(2000, "POST", "/b", 202, "success"), []string{"GET /a/{id}: no request"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			counted, err := count(strings.NewReader(tt.report), operations)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.problems, counted.problems()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTally_print(t *testing.T) {
	counted, err := count(strings.NewReader(requests(3, "GET", "/a", 200, "success")+requests(1, "GET", "/a", 400, "success")), []string{"GET /a"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := counted.print(&out, []string{"too few"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GET /a            4      3      0      1      0  75 %", "test-api: 4 requests: FAIL\ntest-api: too few\n"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("table has no %q:\n%s", want, out.String())
		}
	}
	if _, err := count(strings.NewReader("no record\n"), nil); err == nil {
		t.Error("a report that is none is counted")
	}
}

func TestContractOperations(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	operations, err := contractOperations(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DELETE /exports/{id}", "GET /health", "HEAD /exports/{id}/download", "POST /exports/csv", "POST /exports/estimate"} {
		if !slices.Contains(operations, want) {
			t.Errorf("operations %q: want %s among them", operations, want)
		}
	}
}
