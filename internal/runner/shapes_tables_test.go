package runner_test

import (
	"fmt"
	"slices"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// partitions is SQL of a partitioned table s: how it is divided, its leaves,
// and rows as those of loaded.
func partitions(columns, by, leaves, values, order string) string {
	return fmt.Sprintf("CREATE TABLE s (%s, filler text) PARTITION BY %s; ALTER TABLE s ALTER filler SET STORAGE PLAIN; %s; INSERT INTO s SELECT %s, %s FROM generate_series(1, %d) i ORDER BY %s; ANALYZE s",
		columns, by, leaves, values, filler, manyRows, order)
}

const (
	byRange = `CREATE TABLE s1 PARTITION OF s FOR VALUES FROM (MINVALUE) TO (3000);
		CREATE TABLE s2 PARTITION OF s FOR VALUES FROM (3000) TO (9000);
		CREATE TABLE s3 PARTITION OF s FOR VALUES FROM (9000) TO (MAXVALUE)`
	byHash = `CREATE TABLE s1 PARTITION OF s FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE s2 PARTITION OF s FOR VALUES WITH (MODULUS 4, REMAINDER 1);
		CREATE TABLE s3 PARTITION OF s FOR VALUES WITH (MODULUS 4, REMAINDER 3)`
	keyed   = "id int PRIMARY KEY, v int"
	unkeyed = "id int, v int"
)

func partitionShapes() []shape {
	of := func(name string, setup ...string) shape {
		s := byKey("", "int", "i")
		s.name, s.setup = "partitions/"+name, setup
		return s
	}
	physical := func(s shape) shape {
		s.order, s.want = export.Physical, "SELECT id, v FROM s ORDER BY tableoid, ctid"
		return s
	}
	noKey := func(s shape) shape {
		s = physical(s)
		s.key = nil
		return s
	}
	stranger := func(s shape, grant string) shape {
		s.stranger, s.setup = true, append(slices.Clone(s.setup), grant)
		return s
	}
	ranges := func(s shape, n int) shape {
		s.ranges = n
		return s
	}
	list := of("by list with a default", partitions("a int, b int, v int, PRIMARY KEY (a, b)", "LIST (a)",
		"CREATE TABLE s1 PARTITION OF s FOR VALUES IN (1, 2); CREATE TABLE s2 PARTITION OF s DEFAULT", "i / 2000, i, i", "1, 2"))
	list.key, list.columns, list.want = []string{"a", "b"}, []string{"a", "b", "v"}, "SELECT a, b, v FROM s ORDER BY a, b"
	otherColumns := `CREATE TABLE s1 (gone text, filler text, v int, id int NOT NULL); ALTER TABLE s1 ALTER filler SET STORAGE PLAIN; ALTER TABLE s1 DROP COLUMN gone;
		ALTER TABLE s ATTACH PARTITION s1 FOR VALUES FROM (MINVALUE) TO (5000); CREATE TABLE s2 PARTITION OF s FOR VALUES FROM (5000) TO (MAXVALUE)`
	const random = "md5(i::text)"
	const grant = "GRANT SELECT ON s TO @role@"
	all := grant + "; GRANT SELECT ON s1, s2, s3 TO @role@"
	return []shape{
		of("by range", partitions(keyed, "RANGE (id)", byRange, "i, i", "1")),
		of("by hash", partitions(keyed, "HASH (id)", byHash, "i, i", "1")),
		list,
		of("in two levels", partitions(keyed, "RANGE (id)", `CREATE TABLE s1 PARTITION OF s FOR VALUES FROM (MINVALUE) TO (3000);
			CREATE TABLE s2 PARTITION OF s FOR VALUES FROM (3000) TO (MAXVALUE) PARTITION BY HASH (id);
			CREATE TABLE s3 PARTITION OF s2 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE s4 PARTITION OF s2 FOR VALUES WITH (MODULUS 2, REMAINDER 1)`, "i, i", "1")),
		of("with empty ones", partitions(keyed, "RANGE (id)", byRange+"; CREATE TABLE s0 PARTITION OF s DEFAULT", "i + 4000, i", "1")),
		noKey(of("with empty ones, without a key", partitions(unkeyed, "RANGE (id)", byRange+"; CREATE TABLE s0 PARTITION OF s DEFAULT", "i + 4000, i", "1"))),
		of("with other columns", partitions(keyed, "RANGE (id)", otherColumns, "i, i", "1")),
		ranges(noKey(of("with other columns, without a key", partitions(unkeyed, "RANGE (id)", otherColumns, "i, i", "1"))), 2),
		physical(of("at random", partitions(keyed, "HASH (id)", byHash, "i, i", random))),
		noKey(of("without a key", partitions(unkeyed, "RANGE (id)", byRange, "i, i", random))),
		ranges(physical(of("none", "CREATE TABLE s ("+keyed+") PARTITION BY RANGE (id)")), 1).ordered(export.ByKey),
		stranger(of("not readable by themselves", partitions(keyed, "RANGE (id)", byRange, "i, i", "1")), grant),
		ranges(stranger(noKey(of("not readable by themselves, without a key", partitions(unkeyed, "RANGE (id)", byRange, "i, i", "1"))), grant), 1),
		stranger(noKey(of("readable by themselves, without a key", partitions(unkeyed, "RANGE (id)", byRange, "i, i", "1"))), all),
		// Row security of a partition doesn't apply to those who read the parent.
		ranges(stranger(noKey(of("with row security", partitions(unkeyed, "RANGE (id)", byRange, "i, i", "1"))),
			all+"; ALTER TABLE s2 ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s2 USING (id % 2 = 0)"), 1),
		ranges(stranger(noKey(of("in a closed schema", partitions(unkeyed, "RANGE (id)", byRange, "i, i", "1"))),
			all+"; CREATE SCHEMA @schema@_closed; ALTER TABLE s2 SET SCHEMA @schema@_closed"), 1),
		// A virtual column is computed as the table that is read says.
		ranges(noKey(of("with another virtual column", partitions("id int", "RANGE (id)", byRange, "i", "1"),
			"ALTER TABLE s ADD v int GENERATED ALWAYS AS (id * 2) VIRTUAL", "ALTER TABLE s2 ALTER COLUMN v SET EXPRESSION AS (id * 3)")), 1).from(18),
	}
}

// ordered is s with another order recorded.
func (s shape) ordered(o export.Order) shape {
	s.order = o
	return s
}

// from is s where the server's major version is at least the given one.
func (s shape) from(version int) shape {
	s.since = version
	return s
}

func securityShapes() []shape {
	const policy = "GRANT SELECT ON s TO @role@; ALTER TABLE s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s USING (v % 3 > 0)"
	one := byKey("", "int", "i")
	one.name, one.stranger, one.setup, one.ranges = "row security/key", true, append(one.setup, policy), 2
	noKey := one
	noKey.name, noKey.key, noKey.order, noKey.want = "row security/no key", nil, export.Physical, "SELECT id, v FROM s ORDER BY ctid"
	hidden := one
	hidden.name = "row security/no row"
	hidden.setup = append(slices.Clone(one.setup), "ALTER POLICY p ON s USING (false)")
	hidden.order = export.Physical
	parent := one
	parent.name, parent.setup = "row security/partitioned", []string{partitions(keyed, "RANGE (id)", byRange, "i, i", "1"), policy}
	parentNoKey := noKey
	parentNoKey.name, parentNoKey.ranges, parentNoKey.want = "row security/partitioned, no key", 1, "SELECT id, v FROM s ORDER BY tableoid, ctid"
	parentNoKey.setup = []string{partitions(unkeyed, "RANGE (id)", byRange, "i, i", "1"), policy + "; GRANT SELECT ON s1, s2, s3 TO @role@"}
	return []shape{one, noKey, hidden, parent, parentNoKey}
}

// otherShapes are tables that are no ordinary ones, or have no ordinary key.
func otherShapes() []shape {
	of := func(name string, order export.Order, ranges int, setup ...string) shape {
		s := shape{name: name, order: order, ranges: ranges, setup: setup}
		switch order {
		case export.ByKey:
			s.key, s.want = []string{"id"}, "SELECT id, v FROM s ORDER BY id"
		case export.Physical:
			s.key, s.want = []string{"id"}, "SELECT id, v FROM s ORDER BY tableoid, ctid"
		default:
			s.want, s.sorted = "SELECT id, v FROM s", true
		}
		return s
	}
	sorted := func(s shape) shape {
		s.sorted = true
		return s
	}
	const nullable = "CASE WHEN i % 50 > 0 THEN i END, i"
	plain := loaded("id int NOT NULL, v int", "i, i", "i")
	doubled := loaded("id int NOT NULL, v int", "i / 4, i", "i") // a key that isn't one
	base := loaded("id int PRIMARY KEY, v int", "i, i", "i")
	view := func(sql string) []string { return []string{base + "; ALTER TABLE s RENAME TO base; " + sql} }
	return append([]shape{
		of("key/declared only", export.Physical, 3, doubled),
		of("key/nullable", export.Physical, 3, loaded("id int UNIQUE, v int", nullable, "i")),
		of("key/not null, not checked", export.Physical, 3, loaded("id int UNIQUE, v int", nullable, "i"), "ALTER TABLE s ADD CONSTRAINT checked NOT NULL id NOT VALID").from(18),
		of("key/index of other order", export.Physical, 3, doubled, "CREATE UNIQUE INDEX ON s (v, id)"),
		of("key/index of a part", export.Physical, 3, doubled, "CREATE UNIQUE INDEX ON s (id) WHERE v % 4 = 0"),
		of("key/index of an expression", export.Physical, 3, doubled, "CREATE UNIQUE INDEX ON s ((id + v))"),
		of("key/index not valid", export.Physical, 3, doubled, "CREATE INDEX broken ON s (id)",
			"UPDATE pg_index SET indisunique = true, indisvalid = false WHERE indexrelid = 'broken'::regclass"),
		of("key/index of another collation", export.Physical, 3, loaded(`id text COLLATE "C" NOT NULL, v int`, "lpad(i::text, 9, '0'), i", "i"),
			"CREATE UNIQUE INDEX ON s (id COLLATE ucs_basic)"),
		of("key/index with more columns", export.ByKey, 3, plain, "CREATE UNIQUE INDEX ON s (id) INCLUDE (v)"),
		of("key/index descending", export.ByKey, 3, plain, "CREATE UNIQUE INDEX ON s (id DESC)"),
		of("key/index of patterns", export.Physical, 3, loaded("id text NOT NULL, v int", "lpad(i::text, 9, '0'), i", "i"), "CREATE UNIQUE INDEX ON s (id text_pattern_ops)"),
		sorted(of("inheritance/key", export.ByKey, 1, base+"; CREATE TABLE child () INHERITS (s); INSERT INTO child SELECT * FROM ONLY s")),
		of("inheritance/no key", export.Unordered, 1, base+"; CREATE TABLE child () INHERITS (s); INSERT INTO child SELECT * FROM ONLY s"),
		of("inheritance/child", export.ByKey, 3, base+"; CREATE TABLE parent (LIKE s); ALTER TABLE s INHERIT parent"),
		of("view/key", export.ByKey, 1, view("CREATE VIEW s AS SELECT id, -v AS v FROM base")...),
		of("view/no key", export.Unordered, 1, view("CREATE VIEW s AS SELECT b.id, a.v FROM base a JOIN base b ON a.id = b.v")...),
		of("view/volatile", export.Unordered, 1, view("CREATE VIEW s AS SELECT id, v FROM base WHERE random() < 2")...),
		of("materialized view/index", export.Physical, 3, view(materializedView+"; CREATE UNIQUE INDEX ON s (id)")...),
		of("materialized view/no index", export.Physical, 3, view(materializedView)...),
		of("foreign/key", export.ByKey, 1, foreign(base)...),
		of("foreign/no key", export.Unordered, 1, foreign(base)...),
		of("foreign/partition", export.ByKey, 1, append(foreign(loaded("id int, v int", "i, i", "i")),
			"ALTER TABLE s RENAME TO away; CREATE TABLE s (id int, v int, filler text) PARTITION BY RANGE (id); CREATE TABLE s1 PARTITION OF s DEFAULT; ALTER TABLE s ATTACH PARTITION away FOR VALUES FROM (0) TO (20000)")...),
		of("unlogged", export.ByKey, 3, base, "ALTER TABLE s SET UNLOGGED"),
	}, columnShapes()...)
}

// materializedView is SQL of a view s as large as its table.
const materializedView = "CREATE MATERIALIZED VIEW s AS SELECT * FROM base WITH NO DATA; ALTER MATERIALIZED VIEW s ALTER filler SET STORAGE PLAIN; REFRESH MATERIALIZED VIEW s"

// foreign is SQL of a foreign table s over the table s that the given one
// makes, in the same database, read as the hall's role.
func foreign(s string) []string {
	return []string{
		s + "; ALTER TABLE s RENAME TO far; GRANT SELECT ON far TO @role@; CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA public",
		`DO $$ BEGIN EXECUTE format('CREATE SERVER @schema@_loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host ''127.0.0.1'', port %L, dbname %L)',
			current_setting('port'), current_database()); END $$`,
		`CREATE USER MAPPING FOR CURRENT_USER SERVER @schema@_loop OPTIONS (user '@plainrole@', password 'x');
		CREATE FOREIGN TABLE s (id int, v int, filler text) SERVER @schema@_loop OPTIONS (schema_name '@schema@', table_name 'far')`,
	}
}

// columnShapes are about columns: their names, width and kinds.
func columnShapes() []shape {
	wide := byKey("", "int", "i")
	wide.name, wide.columns, wide.want = "columns/wide", []string{"id", "v", "filler"}, "SELECT id, v, filler FROM s ORDER BY id"
	wide.ranges = 2
	wide.setup = []string{`CREATE TABLE s (id int PRIMARY KEY, v int, padding char(200), filler text); ALTER TABLE s ALTER filler SET STORAGE EXTERNAL;
		INSERT INTO s SELECT i, i, '', CASE i WHEN 700 THEN repeat('70 MB.', 12000000) ELSE repeat(md5(i::text), 625) END FROM generate_series(1, 1500) i`}
	few := wide
	few.name, few.ranges, few.order, few.want = "columns/a few rows of a megabyte", 1, export.Physical, "SELECT id, v, filler FROM s ORDER BY ctid"
	few.setup = []string{`CREATE TABLE s (id int PRIMARY KEY, v int, filler text); ALTER TABLE s ALTER filler SET STORAGE EXTERNAL;
		INSERT INTO s SELECT i, i, repeat(md5(i::text), 32768) FROM generate_series(1, 40) i`}
	generated := byKey("", "int", "i").from(18)
	generated.name, generated.columns, generated.want = "columns/generated", []string{"b", "a", "id"}, "SELECT b, a, id FROM s ORDER BY id"
	generated.setup = []string{
		loaded("id int PRIMARY KEY", "i", "i"),
		"ALTER TABLE s ADD a int GENERATED ALWAYS AS (id * 2) STORED, ADD b int GENERATED ALWAYS AS (id * 3) VIRTUAL",
	}
	generated.filter, generated.want = dataset.Predicate{Column: "b", Operator: dataset.AtLeast, Values: []string{"99"}}, "SELECT b, a, id FROM s WHERE b >= 99 ORDER BY id"
	quoted := byKey("", "int", "i")
	quoted.name, quoted.relation, quoted.key = "columns/quoted names", `S "a; b`, []string{"Key 'a'", `q"u`}
	quoted.columns = []string{"t", "select", "ctid_", " ", `q"u`, "Ä%s$1"}
	quoted.filter = dataset.Predicate{Column: "t", Operator: dataset.In, Values: []string{"1", "2"}}
	quoted.setup = []string{loaded(`"Key 'a'" int, "q""u" int, t int, "select" int, ctid_ int, " " int, "Ä%s$1" text, PRIMARY KEY ("Key 'a'", "q""u")`,
		"i / 100, i, i % 3, -i, 0, 1, 'x'", "i") + `; ALTER TABLE s RENAME TO "S ""a; b"`}
	quoted.want = `SELECT t, "select", ctid_, " ", "q""u", "Ä%s$1" FROM "S ""a; b" WHERE t > 0 ORDER BY "Key 'a'", "q""u"`
	other := byKey("", "int", "i")
	other.name, other.key, other.columns, other.want = "columns/id isn't the key", []string{"v"}, []string{"id"}, "SELECT id FROM s ORDER BY v"
	other.setup = []string{loaded("id text, gone int, v int PRIMARY KEY", "md5(i::text), 0, i", "i"), "ALTER TABLE s DROP COLUMN gone"}
	return []shape{wide, few, generated, quoted, other}
}
