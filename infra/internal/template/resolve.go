package template

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const understoodFunctions = "Ref, Fn::GetAtt, Fn::Sub, Fn::Join, Fn::Split, Fn::Select, Fn::If, and in Conditions Fn::Equals, Fn::Not, Fn::And, Fn::Or"

// condition is one entry of the Conditions section.
type condition struct {
	expression *node
	state      state
	holds      bool
}

type state int

const (
	unresolved state = iota
	resolving        // for finding circles
	resolved
)

// head resolves the node itself, but not what it holds, to a scalar, list or
// object. It returns nil for AWS::NoValue and after an error.
func (l *loader) head(n *node) *node {
	for n != nil && n.kind == call {
		n = l.call(n)
	}
	return n
}

func (l *loader) call(n *node) *node {
	arg := n.items[0]
	switch n.text {
	case "Ref":
		if arg.kind != scalar {
			l.add(n.line, "Ref takes a name, not %s", arg.describe())
			return nil
		}
		return l.ref(arg.text, n.line)
	case "Fn::GetAtt":
		return l.getAtt(arg, n.line)
	case "Fn::Sub":
		return l.sub(arg, n.line)
	case "Fn::Join":
		args := l.arguments(n, 2, 2)
		if args == nil {
			return nil
		}
		return &node{line: n.line, text: strings.Join(l.texts(args[1]), l.text(args[0]))}
	case "Fn::Split":
		return l.split(n)
	case "Fn::Select":
		return l.pick(n)
	case "Fn::If":
		args := l.arguments(n, 3, 3)
		if args == nil {
			return nil
		}
		if l.decide(l.text(args[0]), n.line) {
			return args[1]
		}
		return args[2]
	case "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Condition":
		l.add(n.line, "%s is allowed in Conditions only", n.text)
	default:
		l.add(n.line, "the function %s is not understood; understood are %s", n.text, understoodFunctions)
	}
	return nil
}

// split is the list of a text's parts.
func (l *loader) split(n *node) *node {
	args := l.arguments(n, 2, 2)
	if args == nil {
		return nil
	}
	out := &node{kind: list, line: n.line}
	for _, part := range strings.Split(l.text(args[1]), l.text(args[0])) {
		out.items = append(out.items, &node{line: n.line, text: part})
	}
	return out
}

// pick is one item of a list; nil after an error.
func (l *loader) pick(n *node) *node {
	args := l.arguments(n, 2, 2)
	if args == nil {
		return nil
	}
	index, err := strconv.Atoi(l.text(args[0]))
	items := l.head(args[1])
	if err != nil || items == nil || items.kind != list || index < 0 || index >= len(items.items) {
		l.add(n.line, "Fn::Select takes the index of an item, from 0, and a list that has it")
		return nil
	}
	return items.items[index]
}

// arguments returns a call's list of least to most arguments; nil after an error.
func (l *loader) arguments(n *node, least, most int) []*node {
	arg := n.items[0]
	switch {
	case arg.kind == list && len(arg.items) >= least && len(arg.items) <= most:
		return arg.items
	case least == most:
		l.add(n.line, "%s takes a list of %d", n.text, least)
	default:
		l.add(n.line, "%s takes a list of %d to %d", n.text, least, most)
	}
	return nil
}

// ref is what Ref gives: a parameter's value, a pseudo-parameter's, or a resource's name or URL.
func (l *loader) ref(name string, line int) *node {
	text := func(s string) *node { return &node{line: line, text: s} }
	if p, ok := l.parameters[name]; ok {
		if !p.isList {
			return text(p.text)
		}
		out := &node{kind: list, line: line}
		for _, item := range p.items {
			out.items = append(out.items, text(item))
		}
		return out
	}
	switch name {
	case "AWS::Region":
		return text(l.opt.Region)
	case "AWS::AccountId":
		return text(l.opt.AccountID)
	case "AWS::Partition":
		return text("aws")
	case "AWS::StackName":
		return text(l.opt.StackName)
	case "AWS::URLSuffix":
		return text("amazonaws.com")
	case "AWS::NoValue":
		return nil
	}
	if api := l.staged(name); api != nil {
		return text(api.typ.stage(api))
	}
	r := l.resource(name, line)
	if r == nil {
		return nil
	}
	return text(l.reference(r))
}

// getAtt understands Resource.Attribute and [Resource, Attribute].
func (l *loader) getAtt(arg *node, line int) *node {
	name, attribute, ok := "", "", false
	switch {
	case arg.kind == scalar:
		name, attribute, ok = strings.Cut(arg.text, ".")
	case arg.kind == list && len(arg.items) == 2 && arg.items[0].kind == scalar:
		name, attribute, ok = arg.items[0].text, l.text(arg.items[1]), true
	}
	if !ok {
		l.add(line, "Fn::GetAtt takes Resource.Attribute, not %s", arg.describe())
		return nil
	}
	r := l.resource(name, line)
	if r == nil {
		return nil
	}
	return &node{line: line, text: l.attribute(r, attribute, line)}
}

// staged is the resource that SAM's reference Resource.Stage names; nil if name is no such reference.
func (l *loader) staged(name string) *resource {
	id, ok := strings.CutSuffix(name, ".Stage")
	if r := l.resources[id]; ok && r != nil && r.typ.stage != nil {
		return r
	}
	return nil
}

// resource is the one that a reference names; nil after an error.
func (l *loader) resource(name string, line int) *resource {
	r := l.resources[name]
	if r == nil {
		l.add(line, "%s is neither a parameter nor a resource of this template", name)
		return nil
	}
	if !l.exists(r) {
		l.add(line, "%s is left out by its condition, but something refers to it", name)
		return nil
	}
	if r.typ.absent && !l.referAbsent {
		l.add(line, "%s is of a type that the local stack does not have, so nothing may refer to it", name)
		return nil
	}
	return r
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// sub understands both forms: a text, and a list of a text and a mapping of variables.
func (l *loader) sub(arg *node, line int) *node {
	variables := map[string]*node{}
	text := arg
	if arg.kind == list && len(arg.items) == 2 {
		text = arg.items[0]
		for _, f := range l.entries(arg.items[1], "the variables of Fn::Sub") {
			variables[f.key] = f.value
		}
	}
	if text.kind != scalar {
		l.add(line, "Fn::Sub takes a text, or a list of a text and its variables")
		return nil
	}
	out := variable.ReplaceAllStringFunc(text.text, func(match string) string {
		name := match[2 : len(match)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		if v, ok := variables[name]; ok {
			return l.text(v)
		}
		if strings.Contains(name, ".") && l.staged(name) == nil {
			return l.text(l.getAtt(&node{text: name}, line))
		}
		return l.text(l.ref(name, line))
	})
	return &node{line: line, text: out}
}

// exists reports whether the resource's condition holds.
func (l *loader) exists(r *resource) bool {
	return r.condition == nil || l.decide(l.text(r.condition), r.condition.line)
}

// decide is condition for something that is in the template or isn't.
func (l *loader) decide(name string, line int) bool {
	holds := l.condition(name, line)
	if l.decided != nil {
		l.decided[name] = holds
	}
	return holds
}

// condition evaluates a named condition, once.
func (l *loader) condition(name string, line int) bool {
	c := l.conditions[name]
	switch {
	case c == nil:
		l.add(line, "%s is not a condition of this template", name)
		return false
	case c.state == resolving:
		l.add(c.expression.line, "condition %s depends on itself", name)
		return false
	case c.state == unresolved:
		c.state = resolving
		c.holds = l.boolean(c.expression)
		c.state = resolved
	}
	return c.holds
}

// boolean evaluates a condition's expression.
func (l *loader) boolean(n *node) bool {
	name := n.text
	if n.kind == object && len(n.fields) == 1 && n.fields[0].key == "Condition" {
		return l.condition(l.text(n.fields[0].value), n.line)
	}
	if n.kind != call {
		name = ""
	}
	switch name {
	case "Condition":
		return l.condition(l.text(n.items[0]), n.line)
	case "Fn::Equals":
		args := l.arguments(n, 2, 2)
		return args != nil && l.text(args[0]) == l.text(args[1])
	case "Fn::Not":
		args := l.arguments(n, 1, 1)
		return args != nil && !l.boolean(args[0])
	case "Fn::And":
		// Every argument is evaluated, so that an error in any of them is found.
		return !slices.Contains(l.booleans(n), false)
	case "Fn::Or":
		return slices.Contains(l.booleans(n), true)
	}
	l.add(n.line, "a condition is one of Fn::Equals, Fn::Not, Fn::And, Fn::Or and Condition")
	return false
}

func (l *loader) booleans(n *node) []bool {
	var out []bool
	for _, arg := range l.arguments(n, 2, 10) {
		out = append(out, l.boolean(arg))
	}
	return out
}
