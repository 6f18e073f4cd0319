package statemodel

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// An evaluator of DynamoDB's expressions (Amazon DynamoDB Developer Guide,
// "Condition and filter expressions", "Update expressions"), as far as
// internal/jobs uses them; whatever else it meets it refuses.

// value is an attribute's value in DynamoDB's JSON: {"S": "text"}.
type value map[string]any

// record is an item.
type record map[string]value

// expression is an expression's text with what its placeholders stand for.
type expression struct {
	tokens []string
	at     int
	names  map[string]string
	values map[string]value
}

var tokens = regexp.MustCompile(`[#:]?[A-Za-z_][A-Za-z0-9_]*|<=|>=|<>|[-+=<>(),]`)

func newExpression(text string, names map[string]string, values map[string]value) *expression {
	return &expression{tokens: tokens.FindAllString(text, -1), names: names, values: values}
}

func (x *expression) peek() string {
	if x.at == len(x.tokens) {
		return ""
	}
	return x.tokens[x.at]
}

func (x *expression) next() string {
	t := x.peek()
	x.at++
	return t
}

func (x *expression) expect(t string) {
	if got := x.next(); got != t {
		panic(fmt.Sprintf("expression %v: %q where %q should be", x.tokens, got, t))
	}
}

func (x *expression) accept(t string) bool {
	if x.peek() != t {
		return false
	}
	x.at++
	return true
}

func (x *expression) path() string {
	name := x.next()
	if strings.HasPrefix(name, "#") {
		given, ok := x.names[name]
		if !ok {
			panic("no name for " + name)
		}
		return given
	}
	return name
}

// holds evaluates a condition of an item, which is nil when there is none.
func (x *expression) holds(item record) bool {
	result := x.or(item)
	if x.at != len(x.tokens) {
		panic(fmt.Sprintf("expression %v ends early, at %q", x.tokens, x.peek()))
	}
	return result
}

func (x *expression) or(item record) bool {
	result := x.and(item)
	for x.accept("OR") {
		more := x.and(item)
		result = result || more
	}
	return result
}

func (x *expression) and(item record) bool {
	result := x.term(item)
	for x.accept("AND") {
		more := x.term(item)
		result = result && more
	}
	return result
}

func (x *expression) term(item record) bool {
	switch {
	case x.accept("("):
		result := x.or(item)
		x.expect(")")
		return result
	case x.peek() == "attribute_exists" || x.peek() == "attribute_not_exists":
		want := x.next() == "attribute_exists"
		x.expect("(")
		_, there := item[x.path()]
		x.expect(")")
		return there == want
	}
	left, operator := x.operand(item), x.next()
	right := x.operand(item)
	order, alike := compare(left, right)
	switch operator {
	case "=":
		return alike && order == 0
	case "<":
		return alike && order < 0
	case "<=":
		return alike && order <= 0
	case ">":
		return alike && order > 0
	case ">=":
		return alike && order >= 0
	default:
		panic("operator " + operator)
	}
}

// operand is a value, or nil for an attribute that isn't there.
func (x *expression) operand(item record) value {
	if t := x.peek(); strings.HasPrefix(t, ":") {
		x.at++
		v, ok := x.values[t]
		if !ok {
			panic("no value for " + t)
		}
		return v
	}
	if x.accept("if_not_exists") {
		x.expect("(")
		v, there := item[x.path()]
		x.expect(",")
		otherwise := x.operand(item)
		x.expect(")")
		if there {
			return v
		}
		return otherwise
	}
	return item[x.path()]
}

// compare orders two values of one type.
func compare(a, b value) (order int, alike bool) {
	if s, ok := a["S"].(string); ok {
		t, ok := b["S"].(string)
		return strings.Compare(s, t), ok
	}
	m, okM := number(a)
	n, okN := number(b)
	switch {
	case !okM || !okN:
		return 0, false
	case m < n:
		return -1, true
	case m > n:
		return 1, true
	default:
		return 0, true
	}
}

func number(v value) (int64, bool) {
	text, ok := v["N"].(string)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// update applies an update to an item and returns what it becomes. All of it is
// computed of the item as it was.
func (x *expression) update(item record) record {
	changed := maps.Clone(item)
	for x.peek() != "" {
		switch section := x.next(); section {
		case "SET":
			x.list(func() {
				name := x.path()
				x.expect("=")
				v := x.operand(item)
				if x.accept("+") {
					v = sum(v, x.operand(item))
				}
				changed[name] = v
			})
		case "REMOVE":
			x.list(func() { delete(changed, x.path()) })
		case "ADD":
			x.list(func() {
				name := x.path()
				old, there := item[name]
				if !there {
					old = value{"N": "0"}
				}
				changed[name] = sum(old, x.operand(item))
			})
		default:
			panic("section " + section)
		}
	}
	return changed
}

func (x *expression) list(one func()) {
	one()
	for x.accept(",") {
		one()
	}
}

func sum(a, b value) value {
	m, okM := number(a)
	n, okN := number(b)
	if !okM || !okN {
		panic(fmt.Sprintf("%v + %v", a, b))
	}
	return value{"N": strconv.FormatInt(m+n, 10)}
}
