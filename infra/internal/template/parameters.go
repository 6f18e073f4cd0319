package template

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// value is what a parameter or an expression stands for: a text or a list of texts.
type value struct {
	text   string
	items  []string
	isList bool
}

var parameterAttributes = []string{
	"Type", "Default", "AllowedValues", "AllowedPattern",
	"MinValue", "MaxValue", "MinLength", "MaxLength", "ConstraintDescription",
}

func (l *loader) readParameters(n *node) {
	fields := l.entries(n, "Parameters")
	for _, f := range fields {
		attributes := l.object(f.value, "parameter "+f.key, parameterAttributes, []string{"Description", "NoEcho"})
		given, line := "", f.line
		if v, ok := l.opt.Parameters[f.key]; ok {
			given = v
		} else if d := attributes["Default"]; d != nil {
			given, line = l.text(d), d.line
		} else {
			l.add(f.line, "parameter %s has no default and was given no value", f.key)
		}
		l.parameters[f.key] = l.parameter(f.key, given, line, f.line, attributes)
	}
	for _, name := range sortedKeys(l.opt.Parameters) {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.key == name }) {
			line := 1
			if n != nil {
				line = n.line
			}
			l.add(line, "the template has no parameter %s, which was given a value", name)
		}
	}
}

// parameter checks the value of one parameter against its type and constraints.
func (l *loader) parameter(name, given string, line, nameLine int, attributes map[string]*node) value {
	v := value{text: given}
	number := false
	switch typ := l.text(l.required(attributes, nameLine, "parameter "+name, "Type")); {
	case typ == "Number":
		number = true
	case typ == "List<Number>":
		number, v.isList = true, true
	case typ == "CommaDelimitedList", strings.HasPrefix(typ, "List<AWS::"):
		v.isList = true
	case typ == "String", strings.HasPrefix(typ, "AWS::") && !strings.HasPrefix(typ, "AWS::SSM::"), typ == "":
	default:
		l.add(attributes["Type"].line, "parameter type %s is not understood; understood are String, Number, CommaDelimitedList, "+
			"List<Number> and AWS-specific types, without SSM's", typ)
	}
	v.items = []string{given}
	if v.isList {
		v.items = strings.Split(given, ",")
		for i := range v.items {
			v.items[i] = strings.TrimSpace(v.items[i])
		}
	}
	for _, item := range v.items {
		l.checkParameter(name, item, line, number, attributes)
	}
	return v
}

func (l *loader) checkParameter(name, item string, line int, isNumber bool, attributes map[string]*node) {
	refuse := func(format string, args ...any) {
		if d := attributes["ConstraintDescription"]; d != nil {
			format, args = "%s", []any{l.text(d)}
		}
		l.add(line, "parameter "+name+" = "+strconv.Quote(item)+": "+format, args...)
	}
	number, err := strconv.ParseFloat(item, 64)
	if isNumber && err != nil {
		refuse("not a number")
		return
	}
	if n := attributes["AllowedValues"]; n != nil {
		if allowed := l.texts(n); !slices.Contains(allowed, item) {
			refuse("allowed are %s", strings.Join(allowed, ", "))
		}
	}
	if n := attributes["AllowedPattern"]; n != nil {
		// CloudFormation matches the whole value.
		pattern, err := regexp.Compile(`^(?:` + l.text(n) + `)$`)
		if err != nil {
			l.add(n.line, "AllowedPattern %s is not understood: %v", l.text(n), err)
		} else if !pattern.MatchString(item) {
			refuse("it does not match the pattern %s", l.text(n))
		}
	}
	for _, bound := range []struct {
		attribute string
		value     float64
		sign      float64
		text      string
	}{
		{"MinValue", number, 1, "the least value is"},
		{"MaxValue", number, -1, "the greatest value is"},
		{"MinLength", float64(len(item)), 1, "the least length is"},
		{"MaxLength", float64(len(item)), -1, "the greatest length is"},
	} {
		n := attributes[bound.attribute]
		if n == nil {
			continue
		}
		limit, err := strconv.ParseFloat(l.text(n), 64)
		if err != nil {
			l.add(n.line, "%s must be a number, not %s", bound.attribute, n.describe())
		} else if bound.sign*(bound.value-limit) < 0 {
			refuse("%s %s", bound.text, l.text(n))
		}
	}
}
