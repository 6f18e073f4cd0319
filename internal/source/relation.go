package source

import (
	"context"

	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
)

// The kinds of relations (PostgreSQL manual, pg_class.relkind).
const (
	ordinaryTable    = "r"
	partitionedTable = "p"
	materializedView = "m"
	foreignTable     = "f"
)

// relation is what Postgres's catalogs tell about a selection's relation.
type relation struct {
	kind    string // pg_class.relkind
	parent  bool   // other tables inherit from it, other than as partitions
	secured bool   // row security applies to this role

	// hasKey says that the selection's key is unique, never NULL, and has an
	// index: only then do bounds of it divide the rows, and quickly. The index
	// must be sorted by operators that a session here finds, and for a type
	// whose text can be compared with: not an extension's, nor a row's.
	hasKey bool
	text   []string // the columns of a string type, among which "char" was until Postgres 14, but is none
	leaves []leaf   // of a partitioned table, by oid; otherwise itself; none of a view
}

// leaf is a table with rows of its own.
type leaf struct {
	relation dataset.Relation
	oid      uint32
	blocks   int64 // of the heap
	bytes    int64 // of heap and TOAST
	heap     bool  // rows have a place (ctid) in it
	readable bool  // under its own name, and then shows what the relation shows of it
}

const relationQuery = `
SELECT c.relkind::text,
       c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),
       row_security_active(c.oid),
       EXISTS (
           SELECT FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
           WHERE i.indrelid = c.oid AND am.amname = 'btree' AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
             AND i.indnkeyatts = cardinality($2::text[])
             AND $2::text[] = (
                 SELECT array_agg(a.attname::text ORDER BY k.n)
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                 JOIN pg_opclass o ON o.oid = i.indclass[k.n::int - 1]
                 WHERE k.n <= i.indnkeyatts AND a.attcollation = i.indcollation[k.n::int - 1] AND a.attnotnull
                   AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'n' AND NOT convalidated AND a.attnum = ANY (conkey))
                   AND o.opcdefault AND o.opcnamespace = 'pg_catalog'::regnamespace AND o.opcintype <> 'record'::regtype)),
       ARRAY(
           SELECT a.attname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typcategory = 'S' AND t.oid <> '"char"'::regtype)
FROM pg_class c WHERE c.oid = $1::text::regclass`

const leavesQuery = `
SELECT c.oid, n.nspname::text, c.relname::text,
       pg_relation_size(c.oid) / current_setting('block_size')::int, pg_table_size(c.oid),
       c.relkind IN ('r', 'm') AND coalesce(am.amname = 'heap', false),
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)
       AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attgenerated = 'v')
FROM (SELECT relid FROM pg_partition_tree($1::text::regclass) WHERE isleaf
      UNION SELECT $1::text::regclass) l
JOIN pg_class c ON c.oid = l.relid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam
WHERE c.relkind <> 'p'
ORDER BY c.oid`

// describe looks the selection's relation up.
func (r *Reader) describe(ctx context.Context, sel dataset.Selection) (relation, error) {
	name := relationSQL(sel.Relation)
	var rel relation
	row := r.conn.QueryRow(ctx, relationQuery, name, sel.Key)
	if err := row.Scan(&rel.kind, &rel.parent, &rel.secured, &rel.hasKey, &rel.text); err != nil {
		return relation{}, err
	}
	if rel.kind != ordinaryTable && rel.kind != partitionedTable && rel.kind != materializedView {
		return rel, nil
	}
	rows, err := r.conn.Query(ctx, leavesQuery, name)
	if err != nil {
		return relation{}, err
	}
	rel.leaves, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l leaf, err error) {
		err = row.Scan(&l.oid, &l.relation.Schema, &l.relation.Name, &l.blocks, &l.bytes, &l.heap, &l.readable)
		return l, err
	})
	return rel, err
}

// divisible reports whether the rows can be read in several ranges that
// together see each row once.
func (rel relation) divisible() bool {
	if rel.parent || len(rel.leaves) == 0 {
		return false
	}
	for _, l := range rel.leaves {
		if !l.heap {
			return false // a foreign table, say: each connection would see its own state of it
		}
	}
	return true
}

// leavesReadable reports whether reading the leaves one by one shows what
// reading the relation shows.
func (rel relation) leavesReadable() bool {
	if rel.kind != partitionedTable {
		return true
	}
	for _, l := range rel.leaves {
		if !l.readable {
			return false
		}
	}
	return !rel.secured // the relation's row security doesn't apply to its leaves
}

func (rel relation) blocks() (n int64) {
	for _, l := range rel.leaves {
		n += l.blocks
	}
	return n
}

func (rel relation) bytes() (n int64) {
	for _, l := range rel.leaves {
		n += l.bytes
	}
	return n
}

// meaningQuery lists the tables that a name stands for: itself, its partitions,
// and whatever inherits from it.
const meaningQuery = `
WITH RECURSIVE tree (oid) AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
    UNION
    SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
SELECT coalesce(string_agg(oid::text, ' ' ORDER BY oid), '') FROM tree`

func (r *Reader) meaning(ctx context.Context, name dataset.Relation) (tables string, err error) {
	err = r.conn.QueryRow(ctx, meaningQuery, name.Schema, name.Name).Scan(&tables)
	return tables, err
}
