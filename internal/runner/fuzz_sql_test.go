package runner

import (
	"fmt"
	"strings"

	"csvexport/internal/dataset"
)

// The SQL here quotes in other ways than the product does, so that both don't
// go wrong alike.

// escaped is an SQL string in which all but letters and digits are escaped.
func escaped(s string) string {
	var b strings.Builder
	b.WriteString("E'")
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + "'"
}

// identifier is a quoted name, in escapes of Unicode's numbers.
func identifier(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, `\+%06x`, r)
	}
	return `U&"` + b.String() + `"`
}

// base is the type's name without its collation.
func (k kind) base() string {
	name, _, _ := strings.Cut(k.name, " COLLATE")
	return name
}

// tableSQL makes the table t anew. Its values depend on the row's number and
// the seed only.
func (c fuzzCase) tableSQL() string {
	columns, values := "k1 int NOT NULL, k2 text NOT NULL", "i, (ARRAY["+list(hostileTexts)+"])[i % "+fmt.Sprint(len(hostileTexts))+" + 1] || i"
	for n, col := range c.table {
		columns += ", " + identifier(col.name) + " " + col.kind.name
		hash := fmt.Sprintf("(hashint8extended(i, %d) & 1048575)", c.seed%1000*10+uint64(n))
		values += fmt.Sprintf(", CASE WHEN %s %% 4 > 0 THEN (ARRAY[%s]::text[])[%s / 4 %% %d + 1]::%s END", hash, list(col.pool), hash, len(col.pool), col.kind.base())
	}
	order := "i"
	if c.shuffled {
		order = "md5(i::text)"
	}
	sql := "SET client_min_messages = warning; DROP TABLE IF EXISTS t; CREATE TABLE t (" + columns + "); " +
		"INSERT INTO t SELECT " + values + fmt.Sprintf(" FROM generate_series(1, %d) i ORDER BY %s; ", c.rows, order)
	if len(c.key) > 0 {
		sql += "CREATE UNIQUE INDEX ON t (" + strings.Join(c.key, ", ") + "); "
	}
	return sql
}

// list is the strings, escaped.
func list(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = escaped(v)
	}
	return strings.Join(quoted, ", ")
}

// factsSQL prints the number of rows, and some keys in their order, in one line.
func (c fuzzCase) factsSQL() string {
	sql := "SELECT jsonb_build_object('rows', (SELECT count(*) FROM t" + c.where() + ")"
	if len(c.key) > 0 {
		text := strings.Join(c.key, "::text, ") + "::text"
		sql += ", 'bounds', (SELECT coalesce(jsonb_agg(ARRAY[" + text + "] ORDER BY " + strings.Join(c.key, ", ") + "), '[]')" +
			fmt.Sprintf(" FROM (SELECT k1, k2 FROM t ORDER BY hashint8extended(k1, %d) LIMIT %d) cuts)", c.seed%1000, c.cuts)
	}
	return sql + "); "
}

func (c fuzzCase) where() string {
	if c.filter == nil {
		return ""
	}
	operator := map[dataset.Operator]string{dataset.In: "= ANY", dataset.AtLeast: ">=", dataset.AtMost: "<=", dataset.Before: "<"}[c.filter.operator]
	value := escaped(c.filter.values[0]) + "::" + c.filter.column.kind.base()
	if c.filter.operator == dataset.In {
		value = "(ARRAY[" + list(c.filter.values) + "]::text[]::" + c.filter.column.kind.base() + "[])"
	}
	return " WHERE " + identifier(c.filter.column.name) + " " + operator + " " + value
}

// copySQL is the COPY of the rows, with the formula guard by other functions
// than the product's.
func (c fuzzCase) copySQL() string {
	columns := make([]string, len(c.columns))
	for i, col := range c.columns {
		name := identifier(col.name)
		if columns[i] = name; c.format.FormulaGuard && col.kind.text {
			value := "format('%s', " + name + ") COLLATE \"C\""
			columns[i] = "CASE WHEN " + name + " IS NULL THEN NULL ELSE regexp_replace(" + value + ", E'^(?=[-=+@\\t\\r])', '''') END AS " + name
		}
	}
	order := "ctid"
	if len(c.key) > 0 {
		order = "t." + strings.Join(c.key, ", t.")
	}
	return "COPY (SELECT " + strings.Join(columns, ", ") + " FROM t" + c.where() + " ORDER BY " + order + ") TO STDOUT (FORMAT csv, HEADER " +
		fmt.Sprint(c.format.Header) + ", DELIMITER " + escaped(c.format.Delimiter) + ", QUOTE " + escaped(c.format.Quote) + ", NULL " + escaped(c.format.Null) + ")"
}
