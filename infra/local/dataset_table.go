package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"csvexport/infra/internal/psql"
)

// table is what a database's catalogs tell about a table or view.
type table struct {
	Schema, Name string
	Kind         string // pg_class.relkind
	Comment      string
	Readable     bool
	Key          []string // the primary key, or another unique one without NULLs; empty for none
	Columns      []tableColumn
}

type tableColumn struct {
	Name     string
	Type     string // as format_type writes it, without a length; of a domain, the type below it
	Declared string // its own type, as format_type writes it
	Labels   []string
	Nullable bool
	Indexed  bool // an index begins with it
}

// tableQuery describes the relation of the name in the SQL literal %s, as JSON.
// The index of a key must be one that the service can read by; see hasKey in
// internal/source.
const tableQuery = `
SELECT json_build_object(
    'schema', n.nspname, 'name', c.relname, 'kind', c.relkind::text, 'comment', coalesce(obj_description(c.oid, 'pg_class'), ''),
    'readable', has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
    'key', (
        SELECT json_agg(a.attname ORDER BY k.n)
        FROM (
            SELECT i.indkey, i.indnkeyatts FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
            WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND am.amname = 'btree'
              AND NOT EXISTS (
                  SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                  WHERE k.n <= i.indnkeyatts AND NOT a.attnotnull)
            ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1
        ) best, unnest(best.indkey::int2[]) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE k.n <= best.indnkeyatts),
    'columns', (
        SELECT json_agg(json_build_object(
            'name', a.attname, 'nullable', NOT a.attnotnull, 'type', format_type(base.oid, NULL), 'declared', format_type(a.atttypid, a.atttypmod),
            'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = base.oid),
            'indexed', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum)) ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type base ON base.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('%s')`

// lookUp describes the table of that name, which is as SQL writes it. The error
// says why it can't be exported, if it can't.
func lookUp(ctx context.Context, db psql.DB, name string) (t table, err error) {
	text, err := db.Value(ctx, fmt.Sprintf(tableQuery, strings.ReplaceAll(name, "'", "''")))
	if err != nil {
		return t, fmt.Errorf("look up the table %s: %w", name, err)
	}
	if text == "" {
		return t, fmt.Errorf("there is no table %s in the database; write the name as in SQL, such as public.users or public.\"My Table\"", name)
	}
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return t, fmt.Errorf("look up the table %s: %w", name, err)
	}
	switch {
	case !slices.Contains([]string{"r", "p", "v", "m", "f"}, t.Kind):
		return t, fmt.Errorf("%s is neither a table nor a view", name)
	case len(t.Columns) == 0:
		return t, fmt.Errorf("the table %s has no columns", name)
	case !t.Readable:
		return t, fmt.Errorf("this database's user may not read the table %s", name)
	}
	return t, nil
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// relation is the table's name as SQL writes it.
func (t table) relation() string {
	parts := []string{t.Schema, t.Name}
	for i, p := range parts {
		if !plainName.MatchString(p) {
			parts[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
		}
	}
	return strings.Join(parts, ".")
}

var notInName = regexp.MustCompile(`[^a-z0-9_-]+`)

// datasetName is a name for the dataset: the table's own, where it may be.
func (t table) datasetName() string {
	name := notInName.ReplaceAllString(strings.ToLower(t.Name), "_")
	if name[0] < 'a' || name[0] > 'z' {
		name = "t" + name
	}
	return name[:min(len(name), 63)]
}

// suggested is a filter of the entry.
type suggested struct {
	column, typ string
	by          []string
	labels      []string // of an enum
}

// suggest returns filters of the columns that an index begins with: those of
// other columns would have the whole table read for each export.
func (t table) suggest() (filters []suggested) {
	taken := map[string]bool{}
	for _, c := range t.Columns {
		f := suggested{column: c.Name, labels: c.Labels}
		f.typ, f.by = waysOf(c)
		if !c.Indexed || f.typ == "" {
			continue
		}
		if c.Nullable {
			f.by = append(f.by, "is_null")
		}
		var free []string
		for _, by := range f.by {
			name := c.Name + "_" + by
			if by == "in" || by == "equals" {
				name = c.Name
			}
			if !taken[name] {
				free = append(free, by)
			}
			taken[name] = true
		}
		if f.by = free; len(free) > 0 {
			filters = append(filters, f)
		}
	}
	return filters
}

// waysOf are a filter's type for a column, and by what it may choose; nothing
// for a column of another type.
func waysOf(c tableColumn) (typ string, by []string) {
	if len(c.Labels) > 0 {
		return "text", []string{"in"}
	}
	switch c.Type {
	case "text", "character varying", "character", "bpchar":
		return "text", []string{"in"}
	case "smallint", "integer", "bigint":
		return "integer", []string{"in", "min", "max"}
	case "numeric", "real", "double precision":
		return "decimal", []string{"min", "max"}
	case "date":
		return "date", []string{"from", "to"}
	case "timestamp with time zone", "timestamp without time zone":
		return "timestamp", []string{"from", "to"}
	case "uuid":
		return "uuid", []string{"in"}
	case "boolean":
		return "boolean", []string{"equals"}
	default:
		return "", nil
	}
}
