package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// Identifiers come from the catalog only, and are quoted all the same.

func relationSQL(r dataset.Relation) string {
	return pgx.Identifier{r.Schema, r.Name}.Sanitize()
}

func columnSQL(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes s as an SQL string; COPY takes no parameters. It relies on
// standard_conforming_strings, which every transaction here sets.
func literal(s string) string {
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func literals(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = literal(v)
	}
	return strings.Join(quoted, ", ")
}

func copySQL(p Plan, rng Range) string {
	return "COPY (" + selectSQL(p, rng) + ") TO STDOUT (" + optionsSQL(p.Selection.Format, p.Header(rng)) + ")"
}

// selectSQL selects a range's rows in the plan's order. The relation is t, so
// that ORDER BY means its columns and not what is written of them, and a
// column that isn't there is never taken for the whole row, as t alone would be.
func selectSQL(p Plan, rng Range) string {
	sel := p.Selection
	if rng.Blocks != nil {
		sel.Relation = rng.Blocks.Relation
	}
	columns := make([]string, len(sel.Columns))
	for i, c := range sel.Columns {
		switch columns[i] = "t." + columnSQL(c.Source()); {
		case slices.Contains(p.Guarded, c.Source()):
			columns[i] = guardSQL(c.Source(), c.Name)
		case c.Source() != c.Name:
			columns[i] += " AS " + columnSQL(c.Name)
		}
	}
	return "SELECT " + strings.Join(columns, ", ") + fromSQL(sel) + boundsSQL(sel, rng) + orderSQL(p, rng)
}

func orderSQL(p Plan, rng Range) string {
	switch {
	case rng.Blocks != nil:
		return "" // see scanInPlace
	case p.Order == export.Physical:
		return " ORDER BY t.tableoid, t.ctid"
	case p.Order == export.ByKey:
		return " ORDER BY " + rowSQL(p.Selection.Key)
	default:
		return ""
	}
}

// rowSQL lists columns of t.
func rowSQL(names []string) string {
	columns := make([]string, len(names))
	for i, n := range names {
		columns[i] = "t." + columnSQL(n)
	}
	return strings.Join(columns, ", ")
}

// boundsSQL compares a key of several columns as a row, as the key's index is
// sorted. The literals have no type and take the columns'.
func boundsSQL(sel dataset.Selection, rng Range) (sql string) {
	key := "(" + rowSQL(sel.Key) + ")"
	if rng.After != nil {
		sql += " AND " + key + " > (" + literals(rng.After) + ")"
	}
	if rng.UpTo != nil {
		sql += " AND " + key + " <= (" + literals(rng.UpTo) + ")"
	}
	if b := rng.Blocks; b != nil {
		sql += fmt.Sprintf(" AND t.ctid >= '(%d,0)'", b.From)
		if b.To > 0 {
			sql += fmt.Sprintf(" AND t.ctid < '(%d,0)'", b.To)
		}
	}
	return sql
}

// sampleSQL selects what a sample is of the rows at the places $1, in the
// key's order.
func sampleSQL(sel dataset.Selection) string {
	key := make([]string, len(sel.Key))
	for i, name := range sel.Key {
		key[i] = "t." + columnSQL(name) + "::text"
	}
	order := ""
	if len(key) > 0 {
		order = " ORDER BY " + rowSQL(sel.Key)
	}
	return "SELECT t.tableoid, (t.ctid::text::point)[0]::bigint, ARRAY[" + strings.Join(key, ", ") + "]::text[], (" + predicatesSQL(sel) + ") IS TRUE" +
		" FROM " + relationSQL(sel.Relation) + " t WHERE t.ctid = ANY ($1::text::tid[])" + order
}

func countSQL(sel dataset.Selection) string { return "SELECT count(*)" + fromSQL(sel) }

func fromSQL(sel dataset.Selection) string {
	return " FROM " + relationSQL(sel.Relation) + " t WHERE " + predicatesSQL(sel)
}

// predicatesSQL is a condition, true when there is nothing to meet.
func predicatesSQL(sel dataset.Selection) string {
	conditions := make([]string, len(sel.Predicates))
	for i, p := range sel.Predicates {
		conditions[i] = predicateSQL(p)
	}
	if len(conditions) == 0 {
		return "true"
	}
	return strings.Join(conditions, " AND ")
}

// predicateSQL leaves its literals without a type, so that they take the
// column's and its indexes can be used. Only whole numbers have one, for which
// the indexes of other integers serve too: a number that is too large for the
// column's type is no error then.
func predicateSQL(p dataset.Predicate) string {
	column := "t." + columnSQL(p.Column)
	values := make([]string, len(p.Values))
	for i, v := range p.Values {
		if values[i] = literal(v); p.Type == dataset.Integer {
			values[i] += "::pg_catalog.int8"
		}
	}
	switch p.Operator {
	case dataset.AtLeast:
		return column + " >= " + values[0]
	case dataset.AtMost:
		return column + " <= " + values[0]
	case dataset.Before:
		return column + " < " + values[0]
	case dataset.Prefix:
		return column + " LIKE " + literal(likeEscaper.Replace(p.Values[0])+"%")
	case dataset.IsNull:
		if p.Values[0] == "true" {
			return column + " IS NULL"
		}
		return column + " IS NOT NULL"
	default:
		return column + " IN (" + strings.Join(values, ", ") + ")"
	}
}

// likeEscaper makes a pattern of LIKE that matches the text itself.
var likeEscaper = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)
