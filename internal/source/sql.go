package source

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
)

// Identifiers come from the catalog only, and are quoted all the same.

func relationSQL(r dataset.Relation) string {
	return pgx.Identifier{r.Schema, r.Name}.Sanitize()
}

func columnsSQL(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = pgx.Identifier{n}.Sanitize()
	}
	return strings.Join(quoted, ", ")
}

// literal quotes s as an SQL string; COPY takes no parameters. It relies on
// standard_conforming_strings, which every session here sets.
func literal(s string) string {
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// Header reports whether the range begins the file, with its header.
func (r Range) Header() bool { return r.Index == 0 }

func copySQL(sel dataset.Selection, rng Range) string {
	options := "FORMAT csv"
	if rng.Header() {
		options += ", HEADER"
	}
	return "COPY (" + selectSQL(sel) + ") TO STDOUT (" + options + ")"
}

func selectSQL(sel dataset.Selection) string {
	names := make([]string, len(sel.Columns))
	for i, c := range sel.Columns {
		names[i] = c.Name
	}
	return "SELECT " + columnsSQL(names) + fromSQL(sel) + " ORDER BY " + columnsSQL(sel.Key)
}

func countSQL(sel dataset.Selection) string { return "SELECT count(*)" + fromSQL(sel) }

func fromSQL(sel dataset.Selection) string {
	sql := " FROM " + relationSQL(sel.Relation)
	for i, p := range sel.Predicates {
		sql += []string{" WHERE ", " AND "}[min(i, 1)] + predicateSQL(p)
	}
	return sql
}

// predicateSQL leaves its literals without a type, so that they take the
// column's and its indexes can be used.
func predicateSQL(p dataset.Predicate) string {
	values := make([]string, len(p.Values))
	for i, v := range p.Values {
		values[i] = literal(v)
	}
	list := strings.Join(values, ", ")
	operators := map[dataset.Operator]string{
		dataset.In: " IN (" + list + ")", dataset.AtLeast: " >= " + list, dataset.AtMost: " <= " + list, dataset.Before: " < " + list,
	}
	return pgx.Identifier{p.Column}.Sanitize() + operators[p.Operator]
}
