package runner_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The rows that the tables here are made of. A table of pristine has one row a
// page, so that it is large enough for several ranges, but has little to copy;
// one of wide is as large, and its file has more than one part.
const rows = `
	CREATE TABLE pristine AS
	SELECT 2 * i AS id, repeat(md5(i::text), 13) AS v, i % 97 AS n FROM generate_series(1, 4800) i;
	CREATE TABLE wide AS
	SELECT 2 * i AS id, (SELECT string_agg(md5(i::text || k), '') FROM generate_series(1, 190) k) AS v, i % 97 AS n FROM generate_series(1, 4800) i`

// with are the tables' options: a tenth of a page for rows, and no other
// statement that waits for locks.
const with = ` WITH (fillfactor = 10, autovacuum_enabled = off)`

// How the relation t is made of them, in a schema of its own.
const (
	table           = `CREATE UNLOGGED TABLE t` + with + ` AS SELECT * FROM pristine; ALTER TABLE t ADD PRIMARY KEY (id)`
	wideTable       = `CREATE UNLOGGED TABLE t` + with + ` AS SELECT * FROM wide; ALTER TABLE t ADD PRIMARY KEY (id)`
	withOther       = table + `; CREATE TABLE other (LIKE t); INSERT INTO other SELECT id - 1, v, n FROM pristine WHERE id % 1000 = 0`
	withOtherSchema = table + `; CREATE SCHEMA @schema@_new; CREATE TABLE @schema@_new.t (LIKE t INCLUDING ALL); INSERT INTO @schema@_new.t SELECT id - 1, v, n FROM pristine`

	partitioned = `CREATE TABLE t (id int PRIMARY KEY, v text, n int) PARTITION BY RANGE (id);
		CREATE UNLOGGED TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (3200)` + with + `;
		CREATE UNLOGGED TABLE t2 PARTITION OF t FOR VALUES FROM (3200) TO (6400)` + with + `;
		CREATE UNLOGGED TABLE t3 PARTITION OF t FOR VALUES FROM (6400) TO (9601)` + with + `;
		INSERT INTO t SELECT * FROM pristine;
		CREATE TABLE t4 (LIKE t); INSERT INTO t4 SELECT 9600 + id, v, n FROM pristine WHERE id <= 9`
	materialized = `CREATE TABLE version AS SELECT 0 AS add;
		CREATE MATERIALIZED VIEW t` + with + ` AS SELECT id, v, n + add AS n FROM pristine, version;
		CREATE UNIQUE INDEX ON t (id);
		UPDATE version SET add = 1`
)

const unchanged = "SELECT * FROM pristine"

// ddl is a statement that changes t, or its storage.
type ddl struct {
	name, setup, sql string
	// after are the rows of t after it; none if t can't be read any more.
	after string
	// every is the distance of the steps that it is tried at.
	every int
	// anyTime says that it waits for no reader: t may be read as it was before
	// it or as it is after it.
	anyTime bool
	// alone says that it runs in no transaction block.
	alone bool
	// wide says that t is made of wide.
	wide bool
}

var ddls = []ddl{
	{name: "TRUNCATE", setup: table, sql: "TRUNCATE t", after: unchanged + " WHERE false", every: 1},
	{name: "TRUNCATE, several parts", setup: wideTable, wide: true, sql: "TRUNCATE t", after: unchanged + " WHERE false", every: 4},
	{name: "VACUUM FULL", setup: table, sql: "VACUUM FULL t", after: unchanged, every: 1, alone: true},
	{name: "change of a type", setup: table, sql: "ALTER TABLE t ALTER n TYPE text USING 'was ' || n", after: "SELECT id, v, 'was ' || n AS n FROM pristine", every: 1},
	{name: "new column", setup: table, sql: "ALTER TABLE t ADD c text DEFAULT random()::text", after: unchanged, every: 10},
	{name: "column dropped", setup: table, sql: "ALTER TABLE t DROP n", every: 10},
	{name: "column renamed", setup: table, sql: "ALTER TABLE t RENAME n TO m", every: 10},
	{name: "table renamed", setup: table, sql: "ALTER TABLE t RENAME TO gone", every: 10},
	{name: "CLUSTER", setup: table, sql: "CLUSTER t USING t_pkey", after: unchanged, every: 10},
	{name: "DROP", setup: table, sql: "DROP TABLE t", every: 10},
	{
		name: "DROP and CREATE", setup: table, every: 10, after: unchanged + " WHERE id > 4800",
		sql: "DROP TABLE t; CREATE TABLE t AS SELECT * FROM pristine WHERE id > 4800; ALTER TABLE t ADD PRIMARY KEY (id)",
	},
	{
		name: "another table in its place", setup: withOther, every: 10, after: "SELECT id - 1 AS id, v, n FROM pristine WHERE id % 1000 = 0",
		sql: "ALTER TABLE t RENAME TO gone; ALTER TABLE other RENAME TO t",
	},
	{name: "key dropped", setup: table, sql: "ALTER TABLE t DROP CONSTRAINT t_pkey", after: unchanged, every: 10},
	{
		name: "INHERIT", setup: withOther, sql: "ALTER TABLE other INHERIT t", every: 4, anyTime: true,
		after: "SELECT * FROM pristine UNION ALL SELECT id - 1, v, n FROM pristine WHERE id % 1000 = 0",
	},
	{
		name: "another schema in its place", setup: withOtherSchema, every: 4, anyTime: true, after: "SELECT id - 1 AS id, v, n FROM pristine",
		sql: "ALTER SCHEMA @schema@ RENAME TO @schema@_gone; ALTER SCHEMA @schema@_new RENAME TO @schema@",
	},
	{name: "DETACH", setup: partitioned, sql: "ALTER TABLE t DETACH PARTITION t2", after: unchanged + " WHERE id NOT BETWEEN 3200 AND 6399", every: 10},
	{
		name: "DETACH CONCURRENTLY", setup: partitioned, sql: "ALTER TABLE t DETACH PARTITION t2 CONCURRENTLY", every: 4, anyTime: true, alone: true,
		after: unchanged + " WHERE id NOT BETWEEN 3200 AND 6399",
	},
	{
		name: "ATTACH", setup: partitioned, sql: "ALTER TABLE t ATTACH PARTITION t4 FOR VALUES FROM (9601) TO (9700)", every: 4, anyTime: true,
		after: "SELECT * FROM pristine UNION ALL SELECT 9600 + id, v, n FROM pristine WHERE id <= 9",
	},
	{name: "TRUNCATE of a partition", setup: partitioned, sql: "TRUNCATE t2", after: unchanged + " WHERE id NOT BETWEEN 3200 AND 6399", every: 10},
	{name: "DROP of a partition", setup: partitioned, sql: "DROP TABLE t2", after: unchanged + " WHERE id NOT BETWEEN 3200 AND 6399", every: 10},
	{name: "REFRESH", setup: materialized, sql: "REFRESH MATERIALIZED VIEW t", after: "SELECT id, v, n + 1 AS n FROM pristine", every: 4},
	{
		name: "REFRESH CONCURRENTLY", setup: materialized, sql: "REFRESH MATERIALIZED VIEW CONCURRENTLY t", every: 10, anyTime: true,
		after: "SELECT id, v, n + 1 AS n FROM pristine",
	},
}

// query is one over pristine, or over what t is made of instead.
func (d ddl) query(q string) string {
	if d.wide {
		return strings.ReplaceAll(q, "pristine", "wide")
	}
	return q
}

// A statement that changes a table at any moment of its export waits for the
// export's end, or the file is the table as it was before or is after it,
// whole; or the attempt ends, and the next one is right.
func TestDDL(t *testing.T) {
	y := newYard(t)
	steps := map[string][]string{} // by setup
	for i, d := range ddls {
		t.Run(d.name, func(t *testing.T) {
			if steps[d.setup] == nil {
				steps[d.setup] = y.steps(t, d)
			}
			for at := i % d.every; at < len(steps[d.setup]); at += d.every {
				t.Run(fmt.Sprint(at), func(t *testing.T) {
					t.Parallel()
					y.run(t, d, at, true)
				})
			}
		})
	}
	t.Logf("%d exports, by how they ended: %v", y.schemas, y.ends)
	if y.ends["without"] > y.schemas/20 {
		t.Errorf("of %d exports, %d ended before the statement's step", y.schemas, y.ends["without"])
	}
}

// An export that comes while a change is under way waits for its end, and
// reads the table as it is then.
func TestDDL_underWay(t *testing.T) {
	y := newYard(t)
	for _, d := range ddls {
		if d.alone || d.anyTime || d.wide {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			y.runAfterBegin(t, d)
		})
	}
}

// A reader that can't lock the table for ten seconds, since a change waits for
// the export, gives up: what the change and everybody behind it wait for ends.
func TestDDL_patience(t *testing.T) {
	y := newYard(t)
	steps, first := y.steps(t, ddls[0]), 0
	for i, s := range steps {
		if strings.Contains(s, "pg_export_snapshot") {
			first = i + 1 // the holder has its lock, no reader has one
		}
	}
	began := time.Now()
	y.run(t, ddls[0], first, false)
	if took := time.Since(began); took < 9*time.Second || took > 20*time.Second {
		t.Errorf("the export and the change took %v, want some 10 s", took)
	}
	if y.ends["after, attempt 2"] != 1 {
		t.Errorf("the export ended %v", y.ends)
	}
}
