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
	return "SELECT " + columnsSQL(names) + " FROM " + relationSQL(sel.Relation) + " ORDER BY " + columnsSQL(sel.Key)
}

func countSQL(sel dataset.Selection) string {
	return "SELECT count(*) FROM " + relationSQL(sel.Relation)
}
