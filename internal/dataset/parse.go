package dataset

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"csvexport/internal/export"
)

// maxName is what Postgres keeps of a name, in bytes: it cuts longer ones.
const maxName = 63

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Parse reads a catalog as docs/datasets.md describes it. The error names
// every problem, one a line, each as FILE:LINE: and the reason.
func Parse(file string, text []byte) (*Catalog, error) {
	p := &catalogParser{document{file: file}}
	c := &Catalog{}
	root := p.parse(text)
	if root == nil {
		if len(p.problems) == 0 {
			p.problem(nil, "has no datasets")
		}
		return nil, p.err()
	}
	top := p.mapping(root, "the catalog", "datasets", "destinations")
	entries, given := top["datasets"]
	if !given && len(p.problems) == 0 {
		p.problem(root, "has no datasets")
	}
	if given {
		for _, n := range p.list(entries, "datasets") {
			d := p.dataset(n)
			if _, again := c.Find(d.Name); again && d.Name != "" {
				p.problem(n, "there is a dataset %s already", d.Name)
			}
			c.datasets = append(c.datasets, d)
		}
	}
	if entries, given := top["destinations"]; given {
		c.destinations = p.destinations(entries)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// catalogParser reads a catalog's parts. Each method returns what it could
// read, and notes what is wrong.
type catalogParser struct{ document }

func (p *catalogParser) dataset(n ast.Node) (d Dataset) {
	m := p.mapping(n, "a dataset", "name", "description", "relation", "key", "order", "columns", "requires", "rows", "filters", "limits")
	if m == nil {
		return d
	}
	for _, needed := range []string{"name", "relation", "columns"} {
		if _, given := m[needed]; !given {
			p.problem(n, "the dataset has no %s", needed)
		}
	}
	d.Name = p.name(m["name"])
	d.Description = p.optionalText(m["description"], "description")
	if v, given := m["relation"]; given {
		d.Relation = p.relation(v)
	}
	if v, given := m["key"]; given {
		d.Key = p.key(v)
	}
	if v, given := m["order"]; given {
		d.Order = p.order(v, d)
	}
	if v, given := m["columns"]; given {
		d.Columns = p.columns(v)
	}
	d.Requires = p.scope(m["requires"])
	if v, given := m["rows"]; given {
		d.Rows = p.rows(v)
	}
	if v, given := m["filters"]; given {
		d.Filters = p.filters(v)
	}
	if v, given := m["limits"]; given {
		d.Limits = p.limits(v)
	}
	return d
}

// name reads what requests call something; empty if it isn't given.
func (p *catalogParser) name(n ast.Node) string {
	name := p.optionalText(n, "name")
	if name != "" && !nameForm.MatchString(name) {
		p.problem(n, "the name %s must be a lower-case letter and then lower-case letters, digits, _ and -, 63 characters at most", quote(name))
	}
	return name
}

var (
	plainName = regexp.MustCompile(`^[a-z_\x{80}-\x{10ffff}][a-z0-9_$\x{80}-\x{10ffff}]*$`)
	sqlNames  = regexp.MustCompile(`^(?s)("(?:[^"]|"")*"|[^".]*)\.("(?:[^"]|"")*"|[^".]*)$`)
)

// relation reads schema.table, as SQL writes it.
func (p *catalogParser) relation(n ast.Node) (r Relation) {
	text := p.text(n, "relation")
	if text == "" {
		return r
	}
	parts := sqlNames.FindStringSubmatch(text)
	if parts == nil {
		p.problem(n, `the relation %s must be SCHEMA.TABLE, such as public.users or public."My Table"`, quote(text))
		return r
	}
	names := make([]string, 2)
	for i, part := range parts[1:] {
		inner, quoted := strings.CutPrefix(part, `"`)
		switch {
		case quoted:
			part = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, `"`)
		case !plainName.MatchString(part):
			p.problem(n, `the name %s of the relation must be quoted as in SQL, such as public."My Table"`, quote(part))
			return r
		}
		names[i] = p.identifier(n, part, "the relation's name")
	}
	return Relation{Schema: names[0], Name: names[1]}
}

// identifier checks a name of the database's.
func (p *catalogParser) identifier(n ast.Node, name, what string) string {
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		p.problem(n, "%s is empty or has a zero byte", what)
	case len(name) > maxName:
		p.problem(n, "%s %s is longer than %d bytes, which is all that Postgres keeps", what, quote(name), maxName)
	}
	return name
}

// column reads the name of a column of the relation.
func (p *catalogParser) column(n ast.Node, what string) string {
	name := p.text(n, what)
	if name == "" {
		return ""
	}
	return p.identifier(n, name, what)
}

func (p *catalogParser) key(n ast.Node) (key []string) {
	for _, item := range p.list(n, "key") {
		name := p.column(item, "a column of the key")
		if name != "" && slices.Contains(key, name) {
			p.problem(item, "the key has the column %s twice", quote(name))
		}
		key = append(key, name)
	}
	return key
}

func (p *catalogParser) order(n ast.Node, d Dataset) export.Order {
	switch text := p.text(n, "order"); {
	case text == "auto" || text == "":
		return ""
	case text == "key" && len(d.Key) == 0:
		p.problem(n, "the order key needs a key")
	case text == "physical" && len(d.Key) > 0:
		p.problem(n, "the order physical uses no key: leave out the key, or choose the order auto")
	case text != "key" && text != "physical":
		p.problem(n, "the order %s must be auto, key or physical", quote(text))
	default:
		return export.Order(text) // the words are the same
	}
	return ""
}

func (p *catalogParser) columns(n ast.Node) (columns []Column) {
	for _, item := range p.list(n, "columns") {
		var c Column
		if _, isText := item.(*ast.StringNode); isText {
			c.Name = p.column(item, "a column's name")
		} else {
			m := p.mapping(item, "a column", "name", "column", "type", "requires")
			if m == nil {
				continue
			}
			if m["name"] == nil {
				p.problem(item, "the column has no name")
			} else {
				c.Name = p.column(m["name"], "a column's name")
			}
			if v, given := m["column"]; given {
				c.Column = p.column(v, "column")
			}
			c.Type = p.optionalText(m["type"], "type")
			c.Requires = p.scope(m["requires"])
		}
		if c.Column == c.Name {
			c.Column = ""
		}
		if slices.ContainsFunc(columns, func(other Column) bool { return other.Name == c.Name && c.Name != "" }) {
			p.problem(item, "there is a column %s already", quote(c.Name))
		}
		columns = append(columns, c)
	}
	return columns
}

// scope reads the name of a scope (RFC 6749, section 3.3); empty for none.
func (p *catalogParser) scope(n ast.Node) string {
	scope := p.optionalText(n, "requires")
	if strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		p.problem(n, `the scope %s must be of ASCII characters without a space, " and \`, quote(scope))
	}
	return scope
}

func (p *catalogParser) rows(n ast.Node) (r RowScope) {
	m := p.mapping(n, "rows", "column", "claim")
	if m == nil {
		return r
	}
	for name, to := range map[string]*string{"column": &r.Column, "claim": &r.Claim} {
		if v, given := m[name]; !given {
			p.problem(n, "rows has no %s: it needs a column, and the claim whose values are a caller's own", name)
		} else if name == "column" {
			*to = p.column(v, name)
		} else {
			*to = p.text(v, name)
		}
	}
	return r
}

func (p *catalogParser) limits(n ast.Node) (l Limits) {
	m := p.mapping(n, "limits", "rows", "bytes", "age")
	if v, given := m["rows"]; given {
		l.Rows = p.whole(v, "rows")
	}
	if v, given := m["bytes"]; given {
		l.Bytes = p.bytes(v)
	}
	if v, given := m["age"]; given {
		text := p.text(v, "age")
		age, err := time.ParseDuration(text)
		if text != "" && (err != nil || age <= 0) {
			p.problem(v, "the age %s must be a time such as 90s, 10m or 1h30m", quote(text))
		}
		l.Age = age
	}
	return l
}

var (
	sizeForm  = regexp.MustCompile(`^([0-9]+) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$`)
	sizeUnits = map[string]int64{
		"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}
)

// bytes reads a size: a number of bytes, or one with a unit.
func (p *catalogParser) bytes(n ast.Node) int64 {
	if _, isNumber := n.(*ast.IntegerNode); isNumber {
		return p.whole(n, "bytes")
	}
	text := p.text(n, "bytes")
	if text == "" {
		return 0
	}
	if m := sizeForm.FindStringSubmatch(text); m != nil {
		count, err := strconv.ParseInt(m[1], 10, 64)
		if unit := sizeUnits[m[2]]; err == nil && count > 0 && count <= (1<<62)/unit {
			return count * unit
		}
	}
	p.problem(n, "the bytes %s must be a size such as 500MB or 1GiB", quote(text))
	return 0
}
