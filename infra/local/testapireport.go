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

// What test-api asks of the requests as a whole.
const (
	fewestRequests = 2000
	leastGood      = 0.2 // of an operation's requests: answered by a 2xx
)

// tally counts the requests of each operation by the class of their answers.
type tally struct {
	operations []string
	classes    map[string][6]int // by operation: [2] of the 2xx, [0] of requests without an answer
	others     [6]int            // with methods that their paths don't have
	failures   int               // checks that failed
}

func operationName(method, path string) string { return strings.ToUpper(method) + " " + path }

// countFile counts the requests that a report of schemathesis lists.
func countFile(path string, operations []string) (t tally, err error) {
	f, err := os.Open(path)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return count(f, operations)
}

// scenario is what is read of a record of schemathesis's ndjson report: a
// number of requests that were sent together.
type scenario struct {
	ScenarioFinished *struct {
		Recorder struct {
			Cases map[string]struct {
				Value struct{ Method, Path string }
			}
			Interactions map[string]struct {
				Response *struct {
					StatusCode int `json:"status_code"`
				}
			}
			Checks map[string][]struct{ Status string }
		}
	}
}

func count(report io.Reader, operations []string) (tally, error) {
	t := tally{operations: operations, classes: map[string][6]int{}}
	lines := bufio.NewReader(report)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return t, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return t, err
		}
		var s scenario
		if err := json.Unmarshal(line, &s); err != nil {
			return t, fmt.Errorf("no record of schemathesis: %w", err)
		}
		if s.ScenarioFinished != nil {
			t.add(s)
		}
	}
}

func (t *tally) add(s scenario) {
	recorder := s.ScenarioFinished.Recorder
	for id, interaction := range recorder.Interactions {
		class := 0
		if interaction.Response != nil {
			class = min(interaction.Response.StatusCode/100, 5)
		}
		sent := recorder.Cases[id].Value
		name := operationName(sent.Method, sent.Path)
		if !slices.Contains(t.operations, name) {
			t.others[class]++
			continue
		}
		classes := t.classes[name]
		classes[class]++
		t.classes[name] = classes
	}
	for _, checks := range recorder.Checks {
		for _, check := range checks {
			if check.Status != "success" {
				t.failures++
			}
		}
	}
}

// problems says what the requests lack: too few in all, an operation without
// a 2xx in a fifth of its own, an answer of 5xx, none at all, a failed check.
func (t *tally) problems() []string {
	var problems []string
	if all := t.total(); all < fewestRequests {
		problems = append(problems, fmt.Sprintf("%d requests; want at least %d", all, fewestRequests))
	}
	for _, name := range t.operations {
		classes := t.classes[name]
		switch all := sum(classes); {
		case all == 0:
			problems = append(problems, name+": no request")
		case float64(classes[2]) < leastGood*float64(all):
			problems = append(problems, fmt.Sprintf("%s: a 2xx in %d of %d requests; want at least a fifth", name, classes[2], all))
		}
		problems = append(problems, broken(name, classes)...)
	}
	problems = append(problems, broken("other methods", t.others)...)
	if t.failures > 0 {
		problems = append(problems, fmt.Sprintf("%d checks failed", t.failures))
	}
	return problems
}

func broken(name string, classes [6]int) (problems []string) {
	if classes[5] > 0 {
		problems = append(problems, fmt.Sprintf("%s: a 5xx to %d requests", name, classes[5]))
	}
	if classes[0] > 0 {
		problems = append(problems, fmt.Sprintf("%s: no answer to %d requests", name, classes[0]))
	}
	return problems
}

func (t *tally) total() int {
	all := sum(t.others)
	for _, classes := range t.classes {
		all += sum(classes)
	}
	return all
}

func sum(classes [6]int) (all int) {
	for _, n := range classes {
		all += n
	}
	return all
}

// print writes a table of the operations, and the problems.
func (t *tally) print(w io.Writer, problems []string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\noperation\trequests\t2xx\t3xx\t4xx\t5xx\t2xx of all")
	for _, name := range t.operations {
		printRow(table, name, t.classes[name])
	}
	printRow(table, "(other methods)", t.others)
	if err := table.Flush(); err != nil {
		return err
	}
	verdict := "pass"
	if len(problems) > 0 {
		verdict = "FAIL"
	}
	_, err := fmt.Fprintf(w, "test-api: %d requests: %s\n", t.total(), verdict)
	for _, problem := range problems {
		_, perr := fmt.Fprintf(w, "test-api: %s\n", problem)
		err = errors.Join(err, perr)
	}
	return err
}

func printRow(w io.Writer, name string, classes [6]int) {
	share := "-"
	if all := sum(classes); all > 0 {
		share = fmt.Sprintf("%d %%", classes[2]*100/all)
	}
	fmt.Fprintf(w, "%s\t%8d\t%5d\t%5d\t%5d\t%5d\t%s\n", name, sum(classes), classes[2], classes[3], classes[4], classes[5], share)
}
