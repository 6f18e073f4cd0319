package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// testCase is a test, or a part of one, that has no parts of its own.
type testCase struct {
	test    string
	name    string // within the test; empty for the test as a whole
	verdict string // pass or FAIL
	seconds float64
}

// printCases prints a table of the end-to-end cases and their verdicts, from
// the file that args name: the records of go test -json. The error is
// errReported if a case failed, if a test of caseTests didn't run, or if there
// are fewer cases than fewestCases.
func printCases(args []string, out io.Writer) (err error) {
	if len(args) != 1 {
		return errors.New("cases: no file; want: local cases FILE")
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	cases, err := readCases(f)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	failed, err := printTable(cases, out)
	if err != nil {
		return err
	}
	whole := len(cases) >= fewestCases
	if !whole {
		fmt.Fprintf(out, "cases: want at least %d\n", fewestCases)
	}
	for _, test := range caseTests {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return c.test == test }) {
			whole = false
			fmt.Fprintf(out, "cases: %s did not run\n", test)
		}
	}
	if failed > 0 || !whole {
		return errReported
	}
	return nil
}

func printTable(cases []testCase, out io.Writer) (failed int, err error) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\ntest\tcase\tverdict\tseconds")
	for _, c := range cases {
		fmt.Fprintf(table, "%s\t%s\t%s\t%7.2f\n", c.test, c.name, c.verdict, c.seconds)
		if c.verdict != "pass" {
			failed++
		}
	}
	if err := table.Flush(); err != nil {
		return failed, err
	}
	_, err = fmt.Fprintf(out, "cases: %d passed, %d failed\n", len(cases)-failed, failed)
	return failed, err
}

// readCases returns the cases of caseTests in their order, and of each test in
// the order in which they ran. A case that began and did not end has failed.
func readCases(r io.Reader) ([]testCase, error) {
	all, err := readRecords(r)
	if err != nil {
		return nil, err
	}
	var cases []testCase
	for _, test := range caseTests {
		for _, name := range all.order {
			first, part, _ := strings.Cut(name, "/")
			if first != test || all.told(name) {
				continue
			}
			last := all.last[name]
			c := testCase{test: test, name: strings.ReplaceAll(part, "_", " "), verdict: "FAIL", seconds: last.Elapsed}
			if last.Action == "pass" {
				c.verdict = "pass"
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
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
