package template

import (
	"slices"
	"strconv"
	"strings"
)

// text resolves a node to a text; numbers and booleans are given as written.
// A node that is nil (AWS::NoValue) is the empty text.
func (l *loader) text(n *node) string {
	n = l.head(n)
	switch {
	case n == nil:
		return ""
	case n.kind != scalar || n.null:
		l.add(n.line, "a text is needed here, not %s", n.describe())
		return ""
	}
	return n.text
}

// items resolves a node to a list without its AWS::NoValue items.
func (l *loader) items(n *node) []*node {
	n = l.head(n)
	switch {
	case n == nil:
		return nil
	case n.kind != list:
		l.add(n.line, "a list is needed here, not %s", n.describe())
		return nil
	}
	var out []*node
	for _, item := range n.items {
		if item = l.head(item); item != nil {
			out = append(out, item)
		}
	}
	return out
}

func (l *loader) texts(n *node) []string {
	var out []string
	for _, item := range l.items(n) {
		out = append(out, l.text(item))
	}
	return out
}

// entries resolves a node to a mapping with keys of the template's choice.
func (l *loader) entries(n *node, what string) []field {
	n = l.head(n)
	switch {
	case n == nil:
		return nil
	case n.kind != object:
		l.add(n.line, "%s must be a mapping, not %s", what, n.describe())
		return nil
	}
	return n.fields
}

// object resolves a node to a mapping with a closed list of keys: those that
// are understood, which it returns without AWS::NoValue, and those that mean
// nothing locally, which it skips. Any other key is an error.
func (l *loader) object(n *node, what string, understood, ignored []string) map[string]*node {
	out := map[string]*node{}
	for _, f := range l.entries(n, what) {
		switch {
		case slices.Contains(ignored, f.key):
		case !slices.Contains(understood, f.key):
			l.add(f.line, "%s has %s, which is not understood; understood are %s", what, f.key,
				strings.Join(append(slices.Clone(understood), ignored...), ", "))
		default:
			if v := l.head(f.value); v != nil {
				out[f.key] = v
			}
		}
	}
	return out
}

// required returns a mapping's field; its absence is an error at line.
func (l *loader) required(fields map[string]*node, line int, what, key string) *node {
	n := fields[key]
	if n == nil {
		l.add(line, "%s has no %s", what, key)
	}
	return n
}

// number resolves a node to a whole number from least to most; absent stands for nil.
func (l *loader) number(n *node, what string, absent, least, most int) int {
	if n == nil {
		return absent
	}
	i, err := strconv.Atoi(l.text(n))
	if err != nil || i < least || i > most {
		l.add(n.line, "%s must be a whole number from %d to %d, not %s", what, least, most, n.describe())
	}
	return i
}

// flag resolves a node to true or false; absent stands for nil.
func (l *loader) flag(n *node, what string, absent bool) bool {
	if n == nil {
		return absent
	}
	b, err := strconv.ParseBool(l.text(n))
	if err != nil {
		l.add(n.line, "%s must be true or false, not %s", what, n.describe())
	}
	return b
}

// oneOf resolves a node to one of the words understood; the first stands for nil.
func (l *loader) oneOf(n *node, what string, words ...string) string {
	if n == nil {
		return words[0]
	}
	text := l.text(n)
	if !slices.Contains(words, text) {
		l.add(n.line, "%s %s is not understood; understood are %s", what, text, strings.Join(words, ", "))
	}
	return text
}
