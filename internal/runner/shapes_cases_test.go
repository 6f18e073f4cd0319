package runner_test

import (
	"fmt"
	"slices"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// A table is divided if it is larger than 24 MiB, into ranges of 12 MiB
// (package source). These have few rows, two to a page, so that they are made
// quickly: 5,000 pages are three ranges.
const (
	manyRows = 10_000
	filler   = "repeat(md5(i::text), 112)" // 3.5 KB
)

func allShapes() []shape {
	return slices.Concat(keyShapes(), placeShapes(), filterShapes(), partitionShapes(), securityShapes(), otherShapes())
}

// table is SQL of a table s with the given columns, and their values for each
// i from 1 to manyRows in the given order.
func loaded(columns, values, order string) string {
	return loadedWith(manyRows, columns, values, order)
}

func loadedWith(rows int, columns, values, order string) string {
	return fmt.Sprintf("CREATE TABLE s (%s, filler text); ALTER TABLE s ALTER filler SET STORAGE PLAIN; INSERT INTO s SELECT %s, %s FROM generate_series(1, %d) i ORDER BY %s; ANALYZE s",
		columns, values, filler, rows, order)
}

// byKey is a table with a primary key of the type, loaded in its order.
func byKey(name, columnType, value string) shape {
	return shape{
		name: "key/" + name, key: []string{"id"}, order: export.ByKey, ranges: 3,
		setup: []string{loaded("id "+columnType+" PRIMARY KEY, v int", value+", i", "1")},
		want:  "SELECT id, v FROM s ORDER BY id",
	}
}

// hostile is a text that is hard to quote, different for each i.
const hostile = `CASE i WHEN 1 THEN '' WHEN 2 THEN ' ' WHEN 3 THEN '  ' WHEN 4 THEN '\.' WHEN 5 THEN '\N' WHEN 6 THEN 'NULL' ELSE
	(ARRAY['it''s', '"', '\', '\\', E'a\nb', E'a\r\nb', 'é', 'E', 'e', '日本', '𝔘', 'a ', E'\t', '$1', ''';--', '(', ',', '{}'])[i % 18 + 1]
	|| repeat('common prefix/', i % 3 * 5) || i || repeat(' ', i % 4) END`

// keyShapes are keys of every type that can have a unique index.
func keyShapes() []shape {
	shapes := []shape{
		byKey("dense", "int", "i"),
		byKey("skewed", "bigint", "CASE WHEN i <= 9000 THEN i ELSE 1000000 * (i - 8000)::bigint END"),
		byKey("negative and extreme", "bigint", "CASE i WHEN 1 THEN -9223372036854775808 WHEN 10000 THEN 9223372036854775807 ELSE (i - 5000) * 900000000000000 END"),
		byKey("uuid in time's order", "uuid", "(lpad(to_hex(1700000000000 + i), 12, '0') || '7' || substr(md5(i::text), 1, 3) || 'a' || substr(md5(i::text), 4, 15))::uuid"),
		byKey("text", "text", hostile),
		byKey("text C", `text COLLATE "C"`, hostile),
		byKey("text of the system", `text COLLATE "C.utf8"`, hostile),
		byKey("text of Unicode", `text COLLATE pg_unicode_fast`, hostile).from(18),
		byKey("long text", "text", "repeat('long/', 60) || i"),
		byKey("varchar", "varchar(200)", hostile),
		byKey("char(n)", "char(20)", "CASE WHEN i % 2 = 0 THEN '''' ELSE '' END || i"),
		byKey("name", "name", "'n''' || i"),
		byKey("timestamptz", "timestamptz", `CASE i WHEN 1 THEN '-infinity' WHEN 2 THEN '4713-01-01 BC' WHEN 10000 THEN 'infinity'
			ELSE timestamptz '2024-01-01' - interval '2500 years' + i * interval '200 days 1 microsecond' END`),
		byKey("timestamp", "timestamp", "timestamp '2024-01-01' - interval '2500 years' + i * interval '200 days 1 microsecond'"),
		byKey("numeric", "numeric", "CASE i WHEN 1 THEN '-Infinity' WHEN 9999 THEN 'Infinity' WHEN 10000 THEN 'NaN' ELSE (i - 5000) * 12345678901234567890.00123456789::numeric END"),
		byKey("numeric with a scale", "numeric(12, 3)", "(i - 5000) / 7.0"),
		byKey("double", "float8", "CASE i WHEN 1 THEN '-Infinity' WHEN 9999 THEN 'Infinity' WHEN 10000 THEN 'NaN' ELSE (i - 5000) / 7.0::float8 END"),
		byKey("real", "float4", "(i - 5000) / 7.0::float4"),
		byKey("date", "date", "CASE i WHEN 1 THEN '-infinity' WHEN 10000 THEN 'infinity' ELSE date '2024-01-01' - 1000000 + 150 * i END"),
		byKey("time", "time", "time '00:00' + i * interval '1 second 1 microsecond'"),
		byKey("timetz", "timetz", "(time '00:00' + i * interval '1 second')::text::timetz"),
		byKey("interval", "interval", "(i - 5000) * interval '1 day 1 microsecond'"),
		byKey("bytea", "bytea", "int4send(i) || decode(md5(i::text), 'hex')"),
		byKey("inet", "inet", "inet '10.0.0.1' + i"),
		byKey("cidr", "cidr", "(inet '10.0.0.0' + 256 * i)::cidr"),
		byKey("macaddr", "macaddr", "lpad(to_hex(i), 12, '0')::macaddr"),
		byKey("money", "money", "(i - 5000)::money / 7"),
		byKey("bit", "bit(32)", "i::bit(32)"),
		byKey("varbit", "varbit", "i::bit(32)::varbit"),
		byKey("oid", "oid", "(4000000000 + i)::oid"),
		byKey("pg_lsn", "pg_lsn", "pg_lsn '0/0' + i"),
		byKey("int[]", "int[]", "ARRAY[i, NULL, -i]"),
		byKey("text[]", "text[]", "ARRAY[lpad(i::text, 9, '0'), "+hostile+"]"),
		byKey("int4range", "int4range", "int4range(i, i + 3)"),
		byKey("jsonb", "jsonb", "to_jsonb(i)"),
		byKey("tsvector", "tsvector", "to_tsvector('simple', lpad(i::text, 9, '0'))"),
	}
	domain := byKey("domain", "word", hostile)
	domain.setup = append([]string{"CREATE DOMAIN word AS text CHECK (value <> 'no')"}, domain.setup...)
	citext := byKey("citext", "citext", "(chr(CASE WHEN i % 2 = 0 THEN 65 ELSE 97 END + i / 400) || lpad(i::text, 6, '0'))::citext")
	citext.setup = append([]string{"CREATE EXTENSION citext SCHEMA public"}, citext.setup...)
	// The operators of an extension's type are no session's here, and a row's text can't be compared with.
	citext.order, citext.want = export.Physical, "SELECT id, v FROM s ORDER BY ctid"
	composite := byKey("row type", "pair", "ROW(i, 'x')::pair")
	composite.setup = append([]string{"CREATE TYPE pair AS (a int, b text)"}, composite.setup...)
	composite.order, composite.want = export.Physical, "SELECT id, v FROM s ORDER BY ctid"
	return append(append(shapes, domain, citext, composite), compositeShapes()...)
}

// compositeShapes are keys of several columns.
func compositeShapes() []shape {
	of := func(name, columns, values, order string) shape {
		return shape{
			name: "key/" + name, key: []string{"a", "b"}, columns: []string{"b", "a", "v"}, order: export.ByKey, ranges: 3,
			setup: []string{loaded(columns+", v int, PRIMARY KEY (a, b)", values+", i", order)},
			want:  "SELECT b, a, v FROM s ORDER BY a, b",
		}
	}
	interleaved := of("tenants interleaved", "a int, b int", "i % 10, i", "i")
	interleaved.order, interleaved.want = export.Physical, "SELECT b, a, v FROM s ORDER BY ctid"
	enum := of("enum", "a mood, b int", "(ARRAY['sad', 'ok', 'it''s']::mood[])[i * 3 / 10001 + 1], i", "1, 2")
	enum.setup = append([]string{"CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s')"}, enum.setup...)
	deferred := of("deferred", "a int, b int", "i, -i", "i")
	deferred.setup = append(deferred.setup, "ALTER TABLE s DROP CONSTRAINT s_pkey, ADD UNIQUE (a, b) DEFERRABLE INITIALLY DEFERRED")
	return []shape{
		of("tenants", "a int, b int", "i / 1000, i % 1000", "1, 2"),
		of("tenant of most rows", "a int, b int", "CASE WHEN i <= 1000 THEN 1 WHEN i <= 9000 THEN 2 ELSE i END, i", "1, 2"),
		of("text and time", "a text, b timestamptz", "'it''s ' || i / 1000, timestamptz 'epoch' + i * interval '1 second 1 microsecond'", "1, 2"),
		of("boolean", "a boolean, b int", "i > 3000, i", "1, 2"),
		interleaved, enum, deferred,
	}
}

// placeShapes are about where the rows lie, and what statistics say of it.
func placeShapes() []shape {
	dense := func(name, order string) shape {
		s := byKey("", "int", "i")
		s.name = "place/" + name
		s.setup = []string{loaded("id int PRIMARY KEY, v int", "i, i", order)}
		return s
	}
	with := func(s shape, setup ...string) shape {
		s.setup = append(slices.Clone(s.setup), setup...)
		return s
	}
	physical := func(s shape) shape {
		s.order, s.want = export.Physical, "SELECT id, v FROM s ORDER BY ctid"
		return s
	}
	hot := dense("all updated in place", "i")
	hot.setup = []string{`CREATE TABLE s (id int PRIMARY KEY, v int, filler text) WITH (fillfactor = 50);
		INSERT INTO s SELECT i, i, repeat(md5(i::text), 19) FROM generate_series(1, 40000) i`, "UPDATE s SET v = -v", "VACUUM ANALYZE s"}
	unanalyzed := dense("never analyzed", "i")
	unanalyzed.setup = []string{`CREATE TABLE s (id int PRIMARY KEY, v int, filler text) WITH (autovacuum_enabled = off);
		INSERT INTO s SELECT i, i, repeat(md5(i::text), 19) FROM generate_series(1, 50000) i`}
	unanalyzed.ranges = 2
	stale := unanalyzed
	stale.name = "place/analyzed when empty"
	stale.setup = []string{
		"CREATE TABLE s (id int PRIMARY KEY, v int, filler text) WITH (autovacuum_enabled = off)",
		"ANALYZE s", "INSERT INTO s SELECT i, i, repeat(md5(i::text), 19) FROM generate_series(1, 50000) i",
	}
	noKey := physical(dense("no key", "i"))
	noKey.key = nil
	random := physical(byKey("", "uuid", "md5(i::text)::uuid"))
	random.name, random.setup = "place/random key", []string{loaded("id uuid PRIMARY KEY, v int", "md5(i::text)::uuid, i", "i")}
	forcedKey, forcedPlace := dense("at random, by key all the same", "md5(i::text)"), physical(dense("in the key's order, in place all the same", "i"))
	forcedKey.forced, forcedPlace.forced = export.ByKey, export.Physical
	renamed := dense("renamed", "i")
	renamed.columns, renamed.want = []string{"id AS v", "v AS id", `filler AS a "b`}, `SELECT id AS v, v AS id, filler AS "a ""b" FROM s ORDER BY s.id`
	return []shape{
		dense("descending", "i DESC"), forcedKey, forcedPlace, renamed,
		physical(dense("at random", "md5(i::text)")),
		random, noKey, hot, unanalyzed, stale,
		with(physical(dense("a fifth updated", "i")), "UPDATE s SET v = -v WHERE id % 5 = 0"),
		with(dense("all updated", "i"), "UPDATE s SET v = -v", "ANALYZE s"),
		with(dense("all updated and vacuumed", "i"), "UPDATE s SET v = -v", "VACUUM ANALYZE s"),
		with(dense("few left", "i"), "DELETE FROM s WHERE id % 4 > 0"),
		with(dense("few left and vacuumed", "i"), "DELETE FROM s WHERE id % 4 > 0", "VACUUM s"),
	}
}

// filterShapes choose a part of the rows.
func filterShapes() []shape {
	of := func(name string, op dataset.Operator, ranges int, value, condition string) shape {
		s := byKey("", "int", "i")
		s.name, s.ranges, s.filter = "filter/"+name, ranges, dataset.Predicate{Column: "v", Operator: op, Values: []string{value}}
		s.want = "SELECT id, v FROM s WHERE " + condition + " ORDER BY id"
		return s
	}
	last := of("the last tenth", dataset.AtLeast, 2, "27001", "v > 27000")
	last.setup = []string{loadedWith(30_000, "id int PRIMARY KEY, v int", "i, i", "1")}
	ends := of("half at the end", dataset.AtLeast, 2, "5001", "v > 5000")
	half := of("half", dataset.AtLeast, 2, "50", "v >= 50")
	half.setup = []string{loaded("id int PRIMARY KEY, v int", "i, (i * 37) % 100", "1")}
	strong := of("one in a hundred", dataset.In, 1, "42", "v = 42")
	strong.setup = half.setup
	// An index would show the rows of a page in the order that they had before they were updated.
	indexed := half
	indexed.name, indexed.key, indexed.order = "filter/indexed, updated in place", nil, export.Physical
	indexed.filter, indexed.settings = dataset.Predicate{Column: "v", Operator: dataset.In, Values: []string{"50", "51", "52", "53", "54"}}, "-c random_page_cost=1.1"
	indexed.setup = []string{
		`CREATE TABLE s (id int, v int, u int, filler text) WITH (fillfactor = 50);
		INSERT INTO s SELECT i, i / 800, 0, repeat(md5(i::text), 19) FROM generate_series(1, 80000) i; CREATE INDEX ON s (v)`,
		"UPDATE s SET u = 1 WHERE id % 2 = 0", "VACUUM ANALYZE s", "UPDATE s SET u = 2 WHERE id % 3 = 0", "ANALYZE s",
	}
	indexed.want = "SELECT id, v FROM s WHERE v BETWEEN 50 AND 54 ORDER BY ctid"
	return []shape{last, ends, half, strong, of("nothing", dataset.AtMost, 1, "0", "v <= 0"), indexed}
}
