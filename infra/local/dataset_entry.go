package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const fileHeader = `# What the service exports. Each entry is a dataset; the first is what a request gets that names none.
# Every key that an entry may have is described in docs/datasets.md.
datasets:
`

// addition is the text that adds t, as the dataset of that name, to the end of
// a catalog's text, which may be empty. It is an error if the text has such a
// dataset, or doesn't end where an entry can be put.
func addition(file string, text []byte, name string, t table) (string, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return fileHeader + entry(t, name, "  "), nil
	}
	before, indent, err := datasetNames(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if slices.Contains(before, name) {
		return "", fmt.Errorf("%s: there is a dataset %s already; rename it or remove it first", file, name)
	}
	added := "\n" + entry(t, name, indent)
	if !bytes.HasSuffix(text, []byte("\n")) {
		added = "\n" + added
	}
	after, _, err := datasetNames(append(slices.Clone(text), added...))
	if err != nil || !slices.Equal(after, append(before, name)) {
		return "", fmt.Errorf("%s: its end is no place to add an entry at; add this by hand:\n%s", file, added)
	}
	return added, nil
}

// datasetNames returns the names of a catalog's datasets, and how far the
// entries are indented.
func datasetNames(text []byte) (names []string, indent string, err error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, "", fmt.Errorf("is no YAML: %s", yaml.FormatError(err, false, false))
	}
	path, err := yaml.PathString("$.datasets")
	if err != nil {
		return nil, "", err
	}
	node, err := path.FilterFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("has no datasets: %w", err)
	}
	indent = "  "
	if list, ok := node.(*ast.SequenceNode); ok && !list.IsFlowStyle {
		indent = strings.Repeat(" ", list.Start.Position.Column-1)
	}
	var catalog struct{ Datasets []struct{ Name string } }
	if err := yaml.Unmarshal(text, &catalog); err != nil {
		return nil, "", fmt.Errorf("isn't understood: %s", yaml.FormatError(err, false, false))
	}
	for _, d := range catalog.Datasets {
		names = append(names, d.Name)
	}
	return names, indent, nil
}

// entry is a dataset for all of a table, with what a newcomer may want to
// change beside it.
func entry(t table, name, indent string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, indent+"  "+format+"\n", args...) }
	b.WriteString(indent + "- name: " + word(name) + " # what requests call it\n")
	if t.Comment != "" {
		line("description: %s", quoted(t.Comment))
	}
	line("relation: %s", word(t.relation()))
	if len(t.Key) > 0 {
		line("key: %s # the order of the rows; unique, and never NULL", words(t.Key))
	} else {
		line("# key: [id] # the order of the rows. This one has no unique index without NULLs; name columns here if you know better.")
	}
	line("# A column may have another name in the file, and need a scope of the caller's token: {name: mail, column: email, requires: pii}")
	line("columns: # types are for callers to read")
	for _, c := range t.Columns {
		line("  - {name: %s, type: %s}", word(c.Name), word(c.Declared))
	}
	line("# requires: exports.%s # a scope that every caller needs", name)
	line("# rows: {column: tenant_id, claim: tenant} # only the rows of the caller's own claim")
	line("# limits: {rows: 10000000, bytes: 2GiB, age: 10m}")
	filters := t.suggest()
	if len(filters) == 0 {
		line("# No index begins with a column that a filter could be for, so there are none: docs/datasets.md says how to add one.")
		return b.String()
	}
	line("filters: # of the columns that an index begins with")
	for _, f := range filters {
		form := ""
		if len(f.labels) > 0 {
			form = fmt.Sprintf(", pattern: %s, hint: %s", quoted(labelPattern(f.labels)), quoted("one of "+strings.Join(f.labels, ", ")))
		}
		line("  - {column: %s, type: %s, by: [%s]%s}", word(f.column), f.typ, strings.Join(f.by, ", "), form)
	}
	return b.String()
}

// labelPattern matches an enum's labels: another value would be an error of the query.
func labelPattern(labels []string) string {
	parts := make([]string, len(labels))
	for i, l := range labels {
		parts[i] = regexp.QuoteMeta(l)
	}
	return "^(?:" + strings.Join(parts, "|") + ")$"
}

var (
	plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	yamlWords = regexp.MustCompile(`(?i)^(true|false|null|yes|no|on|off|y|n)$`) // of YAML 1.1 too
)

// word writes a text in YAML, in quotes where it needs them.
func word(s string) string {
	if plainWord.MatchString(s) && !yamlWords.MatchString(s) {
		return s
	}
	return quoted(s)
}

func words(list []string) string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = word(s)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// quoted writes a text in double quotes: a JSON string is one of YAML too.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	return strings.TrimSpace(b.String())
}
