package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// document is a YAML file that a person wrote, with all that is wrong in it.
type document struct {
	file     string
	problems []problem
}

type problem struct {
	line int
	text string
}

func (d *document) problem(n ast.Node, format string, args ...any) {
	d.problems = append(d.problems, problem{lineOf(n), fmt.Sprintf(format, args...)})
}

// err is every problem in the file's order, one a line; nil for none.
func (d *document) err() error {
	slices.SortStableFunc(d.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var all []error
	for _, p := range slices.Compact(d.problems) {
		all = append(all, fmt.Errorf("%s:%d: %s", d.file, p.line, p.text))
	}
	return errors.Join(all...)
}

// parse reads the file's one document; nil if there is none.
func (d *document) parse(text []byte) ast.Node {
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey()) // the repeated ones are named with all else
	if err != nil {
		at, message := 1, err.Error()
		if syntax, ok := errors.AsType[yaml.Error](err); ok && syntax.GetToken() != nil {
			at, message = syntax.GetToken().Position.Line, syntax.GetMessage()
		}
		d.problems = append(d.problems, problem{at, "is no YAML: " + message})
		return nil
	}
	if len(file.Docs) > 1 {
		d.problem(file.Docs[1].Body, "a catalog is one YAML document; a second one begins here")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil
	}
	return file.Docs[0].Body
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil {
		return 1
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		return lineOf(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return lineOf(m.Key)
	}
	return n.GetToken().Position.Line
}

// describe says what a node is.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.GetToken().Value
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	default:
		return fmt.Sprintf("YAML of the kind %s, which isn't understood here", strings.ToLower(n.Type().String()))
	}
}

// mapping reads the members of a mapping by their names, the known ones only.
// what names it in a problem.
func (d *document) mapping(n ast.Node, what string, known ...string) map[string]ast.Node {
	var members []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		members = n.Values
	case *ast.MappingValueNode:
		members = []*ast.MappingValueNode{n}
	default:
		d.problem(n, "%s must be a mapping, not %s", what, describe(n))
		return nil
	}
	found := map[string]ast.Node{}
	for _, m := range members {
		name := m.Key.GetToken().Value
		_, again := found[name]
		switch {
		case m.Key.IsMergeKey() || !slices.Contains(known, name):
			d.problem(m.Key, "%s has no key %s; its keys are %s", what, quote(name), strings.Join(known, ", "))
		case again:
			d.problem(m.Key, "%s is given twice", name)
		default:
			found[name] = m.Value
		}
	}
	return found
}

// text reads a text of one or more characters; empty after a problem.
func (d *document) text(n ast.Node, what string) string {
	text := ""
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.problem(n, "%s must be a text, not %s; if it is a text, put it in quotes", what, describe(n))
		return ""
	default:
		d.problem(n, "%s must be a text, not %s", what, describe(n))
		return ""
	}
	if strings.TrimSpace(text) == "" {
		d.problem(n, "%s is empty", what)
		return ""
	}
	return text
}

// optionalText is text of a member that may be left out.
func (d *document) optionalText(n ast.Node, what string) string {
	if n == nil {
		return ""
	}
	return d.text(n, what)
}

// list reads a list of one or more items.
func (d *document) list(n ast.Node, what string) []ast.Node {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(n, "%s must be a list, not %s", what, describe(n))
		return nil
	}
	if len(s.Values) == 0 {
		d.problem(n, "%s is an empty list", what)
	}
	return s.Values
}

// whole reads a whole number of at least 1; 0 after a problem.
func (d *document) whole(n ast.Node, what string) int64 {
	if i, ok := n.(*ast.IntegerNode); ok {
		if v, err := strconv.ParseInt(strings.ReplaceAll(i.GetToken().Value, "_", ""), 10, 64); err == nil && v >= 1 {
			return v
		}
	}
	d.problem(n, "%s must be a whole number of at least 1, not %s", what, describe(n))
	return 0
}
