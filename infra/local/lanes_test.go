package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// setLanes replaces the lanes for a test.
func setLanes(t *testing.T, others map[string][]excluded) {
	t.Helper()
	before := lanes
	lanes = others
	t.Cleanup(func() { lanes = before })
}

// caseFiles writes the records of lanes into files, and returns the arguments of "cases".
func caseFiles(t *testing.T, lanes ...string) []string {
	t.Helper()
	args := []string{"cases"}
	for i := 0; i < len(lanes); i += 2 {
		path := filepath.Join(t.TempDir(), lanes[i]+".json")
		if err := os.WriteFile(path, []byte(lanes[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, lanes[i]+"="+path)
	}
	return args
}

func TestCases_lanes(t *testing.T) {
	setLanes(t, map[string][]excluded{"local": nil, "other": {
		{"^TestQuota$", "it counts differently"}, {"^TestList$/^part_3$", "it has no third page"},
	}})
	without := func(drop ...string) string {
		var left []string
		for _, r := range everyTest() {
			name, _, _ := strings.Cut(r, " ")
			keep := true
			for _, d := range drop {
				keep = keep && name != d && !strings.HasPrefix(name, d+"/")
			}
			if keep {
				left = append(left, r)
			}
		}
		return testRecords(left...)
	}
	whole := testRecords(everyTest()...)
	tests := map[string]struct {
		args []string
		code int
		want []string
	}{
		"what is left out, and why": {
			caseFiles(t, "local", whole, "other", without("TestQuota", "TestList/part_3")), 0,
			[]string{"TestQuota part 0 pass 1.25 - 0.00", "TestList part 3 pass 1.25 - 0.00", "without ^TestQuota$: it counts differently"},
		},
		"a part is missing": {
			caseFiles(t, "local", whole, "other", without("TestQuota", "TestList/part_3", "TestList/part_4")), 1,
			[]string{"TestList part 4 pass 1.25 absent 0.00"},
		},
		"a test is missing": {
			caseFiles(t, "local", whole, "other", without("TestQuota", "TestFilters")), 1, []string{"cases: TestFilters did not run"},
		},
		"the lane alone":  {caseFiles(t, "other", without("TestQuota")), 0, nil},
		"no such lane":    {[]string{"cases", "cloud=x"}, 1, []string{`"cloud=x": want LANE=FILE, with the lane local or other`}},
		"only a file":     {[]string{"cases", "x"}, 1, []string{"want LANE=FILE"}},
		"skip of a lane":  {[]string{"skip", "other"}, 0, []string{"^TestQuota$|^TestList$/^part_3$"}},
		"skip of no lane": {[]string{"skip", "nowhere"}, 1, []string{"want one of local, other"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := call(t.Context(), tt.args...)
			if code != tt.code {
				t.Errorf("status %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(strings.Join(strings.Fields(stdout+stderr), " "), want) {
					t.Errorf("prints\n%s%s\nwithout %q", stdout, stderr, want)
				}
			}
		})
	}
}

// Whatever a lane leaves out exists, so that nothing is left out by mistake
// after a test was renamed.
func TestLanes(t *testing.T) {
	tests, err := endToEndTests(filepath.Join("..", "e2e"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if test.says == "" {
			t.Errorf("%s has no comment that says what it holds", test.name)
		}
	}
	for lane, list := range lanes {
		for _, e := range list {
			first, _, _ := strings.Cut(e.Test, "/")
			found := false
			for _, test := range tests {
				found = found || regexp.MustCompile(first).MatchString(test.name)
			}
			if !found || !strings.HasPrefix(e.Test, "^") || e.Reason == "" {
				t.Errorf("%s leaves out %s, %q: want a test that exists, from ^ on, and a reason", lane, e.Test, e.Reason)
			}
		}
	}
}

// docs/lanes.md is what `make lanes` writes.
func TestLanes_document(t *testing.T) {
	tests, err := endToEndTests(filepath.Join("..", "e2e"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "docs", "lanes.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := lanesTable(tests); !strings.Contains(string(got), want) {
		t.Errorf("docs/lanes.md isn't true any more: run make lanes; want\n%s", want)
	}
	if len(tests) < 40 || !strings.Contains(string(got), "| `"+tests[0].name+"` |") {
		t.Errorf("%d tests", len(tests))
	}
}
