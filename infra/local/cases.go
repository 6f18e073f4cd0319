package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// endToEnd is the package whose tests meet the service as its users do.
const endToEnd = "csvexport/infra/e2e"

// caseTests are the tests whose cases the table shows, in its order: what the
// service promises, first of right requests, then of wrong ones.
var caseTests = []string{
	"TestFilters", "TestColumns", "TestFormat", "TestFormat_empty", "TestFileName", "TestSplit", "TestValidateOnly", "TestExport_empty", "TestExport_threeAtOnce", "TestCancel", "TestDelete",
	"TestDownload", "TestList", "TestDatasets", "TestRights", "TestIdempotencyKey", "TestRetry", "TestQuota", "TestEstimate", "TestNewcomer", "TestClients", "TestAuth", "TestOwners", "TestBadInput",
}

const fewestCases = 60

// testCase is a test, or a part of one, that has no parts of its own, in each
// lane.
type testCase struct {
	test    string
	name    string // within the test, as go test writes it; empty for the test as a whole
	results []result
}

// result is a case in one lane.
type result struct {
	verdict string // pass, FAIL, or - for a case that the lane leaves out
	seconds float64
}

// laneRecords are the records of one lane.
type laneRecords struct {
	lane string
	records
}

// printCases prints a table of the end-to-end cases and their verdicts in each
// lane, from files with the records of go test -json, given as LANE=FILE. The
// error is errReported if a case failed, if a test of caseTests didn't run in a
// lane that doesn't leave it out, if a lane lacks a case of the first one, or
// has fewer cases than fewestCases.
func printCases(args []string, out io.Writer) error {
	var all []laneRecords
	for _, arg := range args {
		lane, file, ok := strings.Cut(arg, "=")
		if _, known := lanes[lane]; !ok || !known {
			return fmt.Errorf("cases: %q: want LANE=FILE, with the lane %s", arg, strings.Join(slices.Sorted(maps.Keys(lanes)), " or "))
		}
		read, err := readFile(file)
		if err != nil {
			return err
		}
		all = append(all, laneRecords{lane, read})
	}
	if len(all) == 0 {
		return errors.New("cases: no file; want: local cases LANE=FILE …")
	}
	cases := collect(all)
	bad, err := printTable(cases, all, out)
	if err != nil {
		return err
	}
	for i, lane := range all {
		bad = printSum(cases, i, lane, out) || bad
	}
	if bad {
		return errReported
	}
	return nil
}

func readFile(path string) (_ records, err error) {
	f, err := os.Open(path)
	if err != nil {
		return records{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	all, err := readRecords(f)
	if err != nil {
		return records{}, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

func printTable(cases []testCase, all []laneRecords, out io.Writer) (failed bool, err error) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\ntest\tcase")
	for _, lane := range all {
		fmt.Fprintf(table, "\t%s\tseconds", lane.lane)
	}
	fmt.Fprintln(table)
	for _, c := range cases {
		fmt.Fprintf(table, "%s\t%s", c.test, strings.ReplaceAll(c.name, "_", " "))
		for _, r := range c.results {
			fmt.Fprintf(table, "\t%s\t%7.2f", r.verdict, r.seconds)
			failed = failed || r.verdict != "pass" && r.verdict != "-"
		}
		fmt.Fprintln(table)
	}
	return failed, table.Flush()
}

// printSum prints the sum of a lane, what didn't run in it, and why some isn't
// meant to. It reports whether something is missing.
func printSum(cases []testCase, i int, lane laneRecords, out io.Writer) (bad bool) {
	count := map[string]int{}
	ran := map[string]bool{}
	for _, c := range cases {
		count[c.results[i].verdict]++
		ran[c.test] = ran[c.test] || c.results[i].verdict != "absent"
	}
	fmt.Fprintf(out, "cases of %s: %d passed, %d failed\n", lane.lane, count["pass"], count["FAIL"])
	for _, e := range lanes[lane.lane] {
		fmt.Fprintf(out, "  without %s: %s\n", e.Test, e.Reason)
	}
	if count["pass"]+count["FAIL"] < fewestCases {
		bad = true
		fmt.Fprintf(out, "cases: want at least %d\n", fewestCases)
	}
	for _, test := range caseTests {
		if !ran[test] && !leftOut(lane.lane, test) {
			bad = true
			fmt.Fprintf(out, "cases: %s did not run\n", test)
		}
	}
	return bad
}

// collect returns the cases of caseTests in their order, and of each test in
// the order in which they ran in the first lane that has them. A case that
// began and did not end has failed.
func collect(all []laneRecords) []testCase {
	var cases []testCase
	for _, test := range caseTests {
		known := map[string]bool{}
		for _, lane := range all {
			for _, name := range lane.order {
				first, part, _ := strings.Cut(name, "/")
				if first != test || lane.told(name) || known[name] {
					continue
				}
				known[name] = true
				c := testCase{test: test, name: part}
				for _, other := range all {
					c.results = append(c.results, other.result(name))
				}
				cases = append(cases, c)
			}
		}
	}
	return cases
}

func (l laneRecords) result(name string) result {
	last, ran := l.last[name]
	switch {
	case ran && last.Action == "pass":
		return result{"pass", last.Elapsed}
	case ran:
		return result{"FAIL", last.Elapsed}
	case leftOut(l.lane, name):
		return result{verdict: "-"}
	}
	return result{verdict: "absent"}
}

// record is what "go doc test2json" calls a TestEvent.
type record struct {
	Action, Package, Test string
	Elapsed               float64 // seconds
}

// records holds the last record of each end-to-end test and part of one.
type records struct {
	order []string // the names as they began
	last  map[string]record
}

func readRecords(r io.Reader) (records, error) {
	all := records{last: map[string]record{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20) // a line holds a line of output
	for lines.Scan() {
		var rec record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			return records{}, fmt.Errorf("no record of go test: %w", err)
		}
		if rec.Package != endToEnd || rec.Test == "" || rec.Action == "output" {
			continue
		}
		if _, known := all.last[rec.Test]; !known {
			all.order = append(all.order, rec.Test)
		}
		all.last[rec.Test] = rec
	}
	return all, lines.Err()
}

// told reports whether the parts of a test tell its verdict: it has some, and
// if it failed, one of them did.
func (r records) told(name string) bool {
	parts, failed := 0, 0
	for _, other := range r.order {
		if strings.HasPrefix(other, name+"/") {
			parts++
			if r.last[other].Action != "pass" {
				failed++
			}
		}
	}
	return parts > 0 && (failed > 0 || r.last[name].Action == "pass")
}
