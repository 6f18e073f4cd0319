package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// endToEndTest is a test as its source tells of it.
type endToEndTest struct {
	name string
	says string // first sentence of its comment
}

// endToEndTests reads the tests of a package's folder, by file and place in it.
func endToEndTests(dir string) ([]endToEndTest, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	var tests []endToEndTest
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			tests = append(tests, endToEndTest{f.Name.Name, new(doc.Package).Synopsis(f.Doc.Text())})
		}
	}
	return tests, nil
}

const (
	lanesBegin = "<!-- lanes: begin -->"
	lanesEnd   = "<!-- lanes: end -->"
)

// lanesTable is the table of docs/lanes.md: which test runs in which lane, and
// why not.
func lanesTable(tests []endToEndTest) string {
	names := slices.Sorted(maps.Keys(lanes))
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| test | what it holds | %s |\n|---|---|%s\n", lanesBegin, strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	var reasons []string
	for _, test := range tests {
		fmt.Fprintf(&b, "| `%s` | %s |", test.name, test.says)
		for _, lane := range names {
			notes := []string{}
			for _, e := range lanes[lane] {
				pattern, part, isPart := strings.Cut(e.Test, "/")
				if !regexp.MustCompile(pattern).MatchString(test.name) {
					continue
				}
				if !slices.Contains(reasons, e.Reason) {
					reasons = append(reasons, e.Reason)
				}
				note := fmt.Sprintf("[%d]", slices.Index(reasons, e.Reason)+1)
				if isPart {
					note = strings.ReplaceAll(strings.Trim(part, "^$"), "_", " ") + " " + note
				}
				notes = append(notes, note)
			}
			switch {
			case len(notes) == 0:
				b.WriteString(" yes |")
			case leftOut(lane, test.name):
				fmt.Fprintf(&b, " no %s |", notes[0])
			default:
				fmt.Fprintf(&b, " yes, without %s |", strings.Join(notes, ", "))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, r := range reasons {
		fmt.Fprintf(&b, "- [%d] %s\n", i+1, r)
	}
	b.WriteString("\n" + lanesEnd)
	return b.String()
}

// writeLanes puts the table between the marks of a file.
func writeLanes(root, path string) error {
	tests, err := endToEndTests(filepath.Join(root, "infra", "e2e"))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := bytes.Cut(text, []byte(lanesBegin))
	_, after, ended := bytes.Cut(rest, []byte(lanesEnd))
	if !begun || !ended {
		return fmt.Errorf("%s lacks the comments %s and %s", path, lanesBegin, lanesEnd)
	}
	return os.WriteFile(path, slices.Concat(before, []byte(lanesTable(tests)), after), 0o644)
}
