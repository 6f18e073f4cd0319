package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testRecords are go test's records of tests and their last actions; a name
// without an action began and did not end.
func testRecords(results ...string) string {
	var b strings.Builder
	for _, r := range results {
		name, _, _ := strings.Cut(r, " ")
		fmt.Fprintf(&b, "{\"Action\":\"run\",\"Package\":\"csvexport/infra/e2e\",\"Test\":%q}\n", name)
		fmt.Fprintf(&b, "{\"Action\":\"output\",\"Package\":\"csvexport/infra/e2e\",\"Test\":%q,\"Output\":\"=== RUN\\n\"}\n", name)
	}
	for _, r := range results {
		if name, action, ended := strings.Cut(r, " "); ended {
			fmt.Fprintf(&b, "{\"Action\":%q,\"Package\":\"csvexport/infra/e2e\",\"Test\":%q,\"Elapsed\":1.25}\n", action, name)
		}
	}
	return b.String()
}

// everyTest has each of caseTests pass with ten parts.
func everyTest() []string {
	var results []string
	for _, test := range caseTests {
		results = append(results, test+" pass")
		for i := range 10 {
			results = append(results, fmt.Sprintf("%s/part_%d pass", test, i))
		}
	}
	return results
}

func TestCases(t *testing.T) {
	all := 10 * len(caseTests)
	tests := map[string]struct {
		records string
		code    int
		want    []string // in the output
	}{
		"all pass": {
			testRecords(everyTest()...), 0,
			[]string{"TestList                part 3  pass      1.25\n", fmt.Sprintf("\ncases of local: %d passed, 0 failed\n", all)},
		},
		"a part fails": {
			testRecords(append(everyTest(), "TestList/page_sizes fail", "TestList fail")...), 1,
			[]string{"TestList                page sizes  FAIL", fmt.Sprintf("\ncases of local: %d passed, 1 failed\n", all)},
		},
		"only the whole fails": {
			testRecords(append(everyTest(), "TestList fail")...), 1,
			[]string{"TestList                        FAIL", fmt.Sprintf("\ncases of local: %d passed, 1 failed\n", all)},
		},
		"a part doesn't end": {
			testRecords(append(everyTest(), "TestList/page_sizes")...), 1,
			[]string{"page sizes  FAIL", ", 1 failed\n"},
		},
		"tests of others don't count": {
			testRecords(append(everyTest(), "TestListen/a fail", "TestListen fail")...), 0,
			[]string{fmt.Sprintf("\ncases of local: %d passed, 0 failed\n", all)},
		},
		"other packages don't count": {
			testRecords(everyTest()...) + `{"Action":"fail","Package":"csvexport/infra/local","Test":"TestList"}` + "\n", 0,
			[]string{fmt.Sprintf("\ncases of local: %d passed, 0 failed\n", all)},
		},
		"a test is missing": {testRecords(everyTest()[11:]...), 1, []string{"cases: " + caseTests[0] + " did not run\n"}},
		"too few cases":     {testRecords(caseTests...), 1, []string{"cases: want at least 60\n"}},
		"no records":        {"FAIL csvexport/infra/e2e [build failed]\n", 1, []string{"no record of go test"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "infra.json")
			if err := os.WriteFile(path, []byte(tt.records), 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := call(t.Context(), "cases", "local="+path)
			if code != tt.code {
				t.Errorf("status %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("prints\n%s%s\nwithout %q", stdout, stderr, want)
				}
			}
		})
	}
	if code, _, stderr := call(t.Context(), "cases"); code != 1 || !strings.Contains(stderr, "cases: no file") {
		t.Errorf("without a file: status %d, says %q", code, stderr)
	}
}
