package dataset

import (
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

type way struct {
	name, suffix string
	operator     Operator
	types        []Type
}

// ways are how a filter chooses by a column, in the catalog's words: what each
// adds to the name, what it does, and for which types there is it.
var ways = []way{
	{"equals", "", Equals, []Type{Text, Integer, Decimal, Boolean, UUID, Date}},
	{"in", "", In, []Type{Text, Integer, Decimal, UUID, Date}},
	{"min", "_min", AtLeast, []Type{Integer, Decimal}},
	{"max", "_max", AtMost, []Type{Integer, Decimal}},
	{"from", "_from", AtLeast, []Type{Date, Timestamp}},
	{"to", "_to", AtMost, []Type{Date, Timestamp}},
	{"prefix", "_prefix", Prefix, []Type{Text}},
	{"is_null", "_is_null", IsNull, types},
}

var types = []Type{Text, Integer, Decimal, Boolean, UUID, Date, Timestamp}

func (p *catalogParser) filters(n ast.Node) (filters []Filter) {
	for _, item := range p.list(n, "filters") {
		for _, f := range p.filter(item) {
			if f.Name != "" && slices.ContainsFunc(filters, func(other Filter) bool { return other.Name == f.Name }) {
				p.problem(item, "there is a filter %s already", quote(f.Name))
			}
			filters = append(filters, f)
		}
	}
	return filters
}

// filter reads an entry, which is a filter for each way that it names.
func (p *catalogParser) filter(n ast.Node) []Filter {
	m := p.mapping(n, "a filter", "name", "column", "type", "by", "max_length", "pattern", "hint")
	if m == nil {
		return nil
	}
	for _, needed := range []string{"column", "type", "by"} {
		if _, given := m[needed]; !given {
			p.problem(n, "the filter has no %s", needed)
		}
	}
	var base Filter
	if v, given := m["column"]; given {
		base.Column = p.column(v, "column")
		base.Name = base.Column
	}
	if v, given := m["name"]; given {
		base.Name = p.column(v, "name")
	}
	if v, given := m["type"]; given {
		base.Type = Type(p.text(v, "type"))
		if base.Type != "" && !slices.Contains(types, base.Type) {
			p.problem(v, "the type %s must be one of %s", quote(string(base.Type)), join(types))
			base.Type = ""
		}
	}
	p.form(m, &base)
	by, given := m["by"]
	if !given {
		return nil
	}
	filters := p.ways(by, base)
	whole := slices.ContainsFunc(filters, func(f Filter) bool { return f.Operator == Equals || f.Operator == In })
	if v := m["pattern"]; v != nil && !whole && len(filters) > 0 {
		p.problem(v, "the pattern is of whole values, by equals or in")
	}
	return filters
}

// form reads what a text must look like.
func (p *catalogParser) form(m map[string]ast.Node, f *Filter) {
	for _, name := range []string{"max_length", "pattern"} {
		if v, given := m[name]; given && f.Type != "" && f.Type != Text {
			p.problem(v, "only a text has a %s", name)
		}
	}
	if v, given := m["max_length"]; given {
		f.MaxLength = int(p.whole(v, "max_length"))
	}
	if v, given := m["pattern"]; given {
		pattern := p.text(v, "pattern")
		var err error
		if f.Pattern, err = regexp.Compile(pattern); err != nil {
			p.problem(v, "the pattern is no regular expression: %v", err)
		}
	}
	if v, given := m["hint"]; given {
		f.Hint = p.text(v, "hint")
		if m["pattern"] == nil {
			p.problem(v, "the hint puts a pattern in words, and there is none")
		}
	}
}

func (p *catalogParser) ways(n ast.Node, base Filter) (filters []Filter) {
	var names []string
	for _, item := range p.list(n, "by") {
		name := p.text(item, "by")
		i := slices.IndexFunc(ways, func(w way) bool { return w.name == name })
		switch {
		case name == "":
			continue
		case i < 0:
			p.problem(item, "%s must be one of equals, in, min, max, from, to, prefix and is_null", quote(name))
			continue
		case base.Type != "" && !slices.Contains(ways[i].types, base.Type):
			p.problem(item, "a filter by %s is for the types %s, not %s", name, join(ways[i].types), base.Type)
		case slices.Contains(names, name):
			p.problem(item, "%s is given twice", name)
			continue
		}
		names = append(names, name)
		if slices.Contains(names, "equals") && slices.Contains(names, "in") {
			p.problem(item, "equals and in have the same name; in also takes one value")
			continue
		}
		f := base
		f.Operator = ways[i].operator
		if f.Name != "" {
			f.Name += ways[i].suffix
		}
		filters = append(filters, f)
	}
	return filters
}

func join(types []Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}
