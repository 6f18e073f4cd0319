package template

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

type kind int

const (
	scalar kind = iota
	list
	object
	call // of an intrinsic function, in short or in long form
)

// node is a YAML value with its line. Anchors and aliases are resolved, and
// both forms of an intrinsic function are one.
type node struct {
	kind   kind
	line   int
	text   string // of a scalar, as written; the name of a called function
	null   bool
	items  []*node // of a list; the one argument of a call
	fields []field // of an object, in the template's order
}

type field struct {
	key   string
	line  int
	value *node
}

func (n *node) get(key string) *node {
	for _, f := range n.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// describe names the node's kind for an error.
func (n *node) describe() string {
	switch {
	case n.null:
		return "nothing"
	case n.kind == list:
		return "a list"
	case n.kind == object:
		return "a mapping"
	default:
		return fmt.Sprintf("%q", n.text)
	}
}

// shortForms holds the intrinsic functions that CloudFormation has a YAML tag
// for, by that tag; whether one is understood is settled where it is called.
var shortForms = map[string]string{
	"!Ref": "Ref", "!Condition": "Condition", "!Sub": "Fn::Sub", "!GetAtt": "Fn::GetAtt", "!Join": "Fn::Join",
	"!If": "Fn::If", "!Equals": "Fn::Equals", "!Not": "Fn::Not", "!And": "Fn::And", "!Or": "Fn::Or",
	"!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr", "!FindInMap": "Fn::FindInMap", "!GetAZs": "Fn::GetAZs",
	"!ImportValue": "Fn::ImportValue", "!Select": "Fn::Select", "!Split": "Fn::Split", "!Transform": "Fn::Transform",
}

// reader turns goccy's syntax tree into nodes.
type reader struct {
	errors  *errorList
	anchors map[string]*node
}

func (r *reader) read(n ast.Node) *node {
	if n == nil {
		return &node{line: 1, null: true}
	}
	line := n.GetToken().Position.Line
	switch n := n.(type) {
	case *ast.NullNode:
		return &node{line: line, null: true}
	case *ast.StringNode:
		return &node{line: line, text: n.Value}
	case *ast.LiteralNode:
		return &node{line: line, text: n.Value.Value}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return &node{line: line, text: n.GetToken().Value}
	case *ast.SequenceNode:
		out := &node{kind: list, line: line}
		for _, item := range n.Values {
			out.items = append(out.items, r.read(item))
		}
		return out
	case *ast.MappingNode:
		return r.object(line, n.Values)
	case *ast.MappingValueNode:
		return r.object(line, []*ast.MappingValueNode{n})
	case *ast.TagNode:
		return r.tagged(n, line)
	case *ast.AnchorNode:
		value := r.read(n.Value)
		r.anchors[n.Name.String()] = value
		return value
	case *ast.AliasNode:
		name := n.Value.String()
		if value, ok := r.anchors[name]; ok {
			return value
		}
		r.errors.add(line, "the alias *%s has no anchor before it", name)
	default:
		r.errors.add(line, "YAML of the kind %s is not understood", n.Type())
	}
	return &node{line: line, null: true}
}

func (r *reader) tagged(n *ast.TagNode, line int) *node {
	tag := n.Start.Value
	if name, ok := shortForms[tag]; ok {
		return &node{kind: call, line: line, text: name, items: []*node{r.read(n.Value)}}
	}
	r.errors.add(line, "the tag %s is not understood; understood are %s", tag, understoodFunctions)
	return &node{line: line, null: true}
}

// object reads a mapping, or the call of an intrinsic function in long form.
func (r *reader) object(line int, values []*ast.MappingValueNode) *node {
	if len(values) > 0 {
		line = values[0].Key.GetToken().Position.Line
	}
	out := &node{kind: object, line: line}
	for _, v := range values {
		key := v.Key.GetToken()
		if v.Key.IsMergeKey() {
			r.errors.add(key.Position.Line, "CloudFormation does not understand merge keys (<<)")
			continue
		}
		out.fields = append(out.fields, field{key: key.Value, line: key.Position.Line, value: r.read(v.Value)})
	}
	if len(out.fields) == 1 {
		if f := out.fields[0]; f.key == "Ref" || strings.HasPrefix(f.key, "Fn::") {
			return &node{kind: call, line: f.line, text: f.key, items: []*node{f.value}}
		}
	}
	return out
}

// merge lays local over global as SAM's Globals section says: mappings merge,
// lists are put one after the other, anything else is overridden.
func merge(global, local *node) *node {
	switch {
	case local == nil:
		return global
	case global == nil || global.kind != local.kind:
		return local
	case local.kind == list:
		out := *local
		out.items = append(append([]*node{}, global.items...), local.items...)
		return &out
	case local.kind != object:
		return local
	}
	out := *local
	out.fields = append([]field{}, local.fields...)
	for i, f := range out.fields {
		out.fields[i].value = merge(global.get(f.key), f.value)
	}
	for _, f := range global.fields {
		if local.get(f.key) == nil {
			out.fields = append(out.fields, f)
		}
	}
	return &out
}
