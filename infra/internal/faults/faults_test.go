package faults

import (
	"slices"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	f := fault{number: 3, name: "something breaks", points: []point{{name: "early"}, {name: "late"}}}
	for name, test := range map[string]struct {
		outcomes map[string]outcome
		line     string
		ok       bool
	}{
		"all well": {
			map[string]outcome{"3 early": {attempts: 2, recovered: 1500 * time.Millisecond}, "3 late": {attempts: 1, recovered: 20 * time.Second}},
			"fault 3 something breaks: ok attempts=2 recovered_in=20.0s", true,
		},
		"one point failed": {
			map[string]outcome{"3 early": {attempts: 1}, "3 late": {problems: []string{"a file is wrong", "an upload is open"}}},
			"fault 3 something breaks: FAILED: late: a file is wrong; late: an upload is open", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if line, ok := report(f, test.outcomes); line != test.line || ok != test.ok {
				t.Errorf("report %q, %v", line, ok)
			}
		})
	}
}

// The list is that of 23 faults, each with points, and no two of one name.
func TestFaults(t *testing.T) {
	var numbers []int
	seen := map[string]bool{}
	for _, f := range faults() {
		numbers = append(numbers, f.number)
		if len(f.points) == 0 {
			t.Errorf("fault %d has no points", f.number)
		}
		for _, p := range f.points {
			if seen[key(f, p)] {
				t.Errorf("two points are %s", key(f, p))
			}
			seen[key(f, p)] = true
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != i+1 {
			t.Fatalf("the numbers are %v", numbers)
		}
	}
	if len(numbers) != 23 {
		t.Errorf("%d faults, want 23", len(numbers))
	}
}

func TestSortProblems(t *testing.T) {
	lost, wrong, leaked := sortProblems([]string{
		"export 1 has no record", "object k holds 5 bytes of SHA-256 x, psql's COPY has 6 of y", "object k is a broken gzip file: EOF",
		"an upload of k is open, but its export is \"failed\"", "object k belongs to no export", "waited in vain until every export is done",
	})
	if lost != 2 || wrong != 2 || leaked != 2 {
		t.Errorf("%d lost, %d wrong, %d leaked, want 2 of each", lost, wrong, leaked)
	}
}
