package runner_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// ownTypes are types that aren't Postgres's own.
const ownTypes = `CREATE EXTENSION citext SCHEMA public; CREATE EXTENSION hstore SCHEMA public; CREATE EXTENSION ltree SCHEMA public;
	CREATE TYPE mood AS ENUM ('sad', 'it''s, "fine"', ''); CREATE DOMAIN word AS text; CREATE DOMAIN words AS text[];
	CREATE TYPE pair AS (a int, "b c" text); CREATE TYPE nested AS (p pair, ps pair[]); CREATE TYPE textrange AS RANGE (subtype = text)`

// typeValues are texts of values of every type that a column can have, at the
// edges of what the type holds; see sqlValue. A type without any is one that
// the server makes for itself and takes from nobody, or can't make.
var typeValues = map[string][]string{
	"text": {
		"", " ", "a", " a ", `\.`, `\N`, "NULL", `"`, `""`, "'", ",", ";", "\t", "a\rb", "a\nb", "a\r\nb", "\r", "\n", "\r\n", "\ufeffa", "é", "e\u0301", "日本語",
		"𝔘", "\u2028", "\x01", "\x7f", "\ufffd", "SQL: repeat('1 MB, \"or so\" ', 80000)",
	},
	"varchar":       {"", "a,b", " a "},
	"bpchar":        {"", "a  ", "\n"},
	"name":          {"", `a"b`, "SQL: repeat('n', 63)"},
	"char":          {"", "a", ",", `"`, `\377`},
	"citext":        {"", "Aa", `"`},
	"bool":          {"true", "false"},
	"int2":          {"0", "-32768", "32767"},
	"int4":          {"0", "-2147483648", "2147483647"},
	"int8":          {"0", "-9223372036854775808", "9223372036854775807"},
	"numeric":       {"0", "-0.00", "NaN", "Infinity", "-Infinity", "1e-1000", "1.5e1000", "9999.9999", "10000", "100000000", "0.0001", "0.00001", "0.00010000", "-1.10", "1000000000000.0000000000001", "SQL: repeat('9', 1000) || '.' || repeat('9', 1000)"},
	"float4":        {"0", "-0", "NaN", "Infinity", "-Infinity", "0.1", "1e-45", "3.4028235e38", "16777216"},
	"float8":        {"0", "-0", "NaN", "Infinity", "-Infinity", "0.1", "5e-324", "1.7976931348623157e308", "0.30000000000000004"},
	"money":         {"0", "-92233720368547758.08", "92233720368547758.07", "1234.5"},
	"date":          {"infinity", "-infinity", "4713-01-01 BC", "0001-12-31 BC", "0001-01-01", "1999-12-31", "2000-01-01", "9999-12-31", "10000-01-01", "5874897-12-31", "2024-02-29"},
	"time":          {"00:00", "24:00", "23:59:59.999999"},
	"timetz":        {"00:00+15:59:59", "24:00-15:59:59", "12:00:00.000001Z"},
	"timestamp":     {"infinity", "-infinity", "4713-01-01 BC", "0001-12-31 23:59:59.999999 BC", "1999-12-31 23:59:59.999999", "10000-01-01", "294276-12-31 23:59:59.999999", "2024-02-29 12:00:00.1"},
	"timestamptz":   {"infinity", "-infinity", "4713-01-01 00:00:00+00 BC", "0001-12-31 23:59:59.999999+00 BC", "1999-12-31 23:59:59.999999+00", "10000-01-01+00", "294276-12-31 23:59:59.999999+00", "2024-06-30 12:00:00.1+05:30"},
	"interval":      {"0", "infinity", "-infinity", "178000000 years", "-1 year 2 mons -3 days 04:05:06.789", "1 us", "-25:00"},
	"uuid":          {"00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-4fff-bfff-ffffffffffff"},
	"bytea":         {"", `\x00`, `\x5c2e`, `\x0d0a222c27`},
	"json":          {"null", ` { "a" :1,"a": "\u00e9\n" } `, `"x"`, "[1, 2.50]"},
	"jsonb":         {"null", `{"b": 1, "a": "\n\"é"}`, `"x"`, "1e3"},
	"jsonpath":      {"$", `strict $."a b"[*] ? (@.c like_regex "^x" flag "i")`},
	"xml":           nil, // the server here has no libxml to read any
	"inet":          {"0.0.0.0/0", "10.1.2.3", "10.1.2.3/8", "::", "fe80::1/64", "::ffff:1.2.3.4"},
	"cidr":          {"0.0.0.0/0", "10.0.0.0/8", "fe80::/10"},
	"macaddr":       {"08:00:2b:01:02:03"},
	"macaddr8":      {"08:00:2b:01:02:03:04:05"},
	"point":         {"(0,-0)", "(1e300,NaN)", "(Infinity,-Infinity)"},
	"line":          {"{1,-1,0}"},
	"lseg":          {"[(0,0),(1,1.5)]"},
	"box":           {"(1,1),(0,0)"},
	"path":          {"[(0,0),(1,1)]", "((0,0),(1,1))"},
	"polygon":       {"((0,0),(1,1),(1,0))"},
	"circle":        {"<(0,0),1.5>"},
	"bit":           {"1"},
	"varbit":        {"", "0", "10101"},
	"tsvector":      {"", `'a b':1A,2 'it''s':3 '"'`, `'\\'`},
	"tsquery":       {"", "'a b' & !(c:*A | 'it''s') <2> d"},
	"oid":           {"0", "4294967295"},
	"xid":           {"0", "4294967295"},
	"xid8":          {"0", "18446744073709551615"},
	"cid":           {"4294967295"},
	"tid":           {"(0,1)", "(4294967295,65535)"},
	"pg_lsn":        {"0/0", "FFFFFFFF/FFFFFFFF"},
	"pg_snapshot":   {"10:20:10,14"},
	"txid_snapshot": {"10:20:10,14"},
	"refcursor":     {"", "a b"},
	"aclitem":       {"SQL: (acldefault('r', 10))[1]::text"},
	"regclass":      {"pg_class", "4294967295"},
	"regtype":       {"double precision", "text[]"},
	"regproc":       {"now"},
	"regprocedure":  {"abs(bigint)"},
	"regoper":       {"pg_catalog.||/"},
	"regoperator":   {"+(integer,integer)"},
	"regrole":       {"pg_monitor"},
	"regnamespace":  {"pg_catalog"},
	"regcollation":  {`"C"`},
	"regconfig":     {"english"},
	"regdictionary": {"simple"},
	"int4range":     {"empty", "(,)", "[-2147483648,2147483646]"},
	"int8range":     {"[1,)"},
	"numrange":      {"(-Infinity,NaN)", "[1.50,2)"},
	"daterange":     {"[2024-01-01,infinity]"},
	"tsrange":       {`["2024-01-01 00:00","2024-01-02 00:00")`},
	"tstzrange":     {`(,"2024-01-02 00:00+00"]`},
	"textrange":     {`["a,b","it's ""c"""]`, `("\\",)`},

	"int4multirange": {"{}", "{[1,3),[5,)}"}, "int8multirange": {"{(,)}"}, "nummultirange": {"{[1.5,2)}"}, "datemultirange": {"{[2024-01-01,2024-02-01)}"},
	"tsmultirange": {`{["2024-01-01 00:00",infinity)}`}, "tstzmultirange": {"{}"}, "textmultirange": {`{["a,b","c}"]}`},

	"hstore": {"", `"a b"=>"it's", "c"=>NULL, "\""=>"\\"`}, "ltree": {"", "Top.Science"},
	"mood": {"sad", `it's, "fine"`, ""}, "word": {"", `a"b`, `\.`}, "words": {"{}", `{"a b",NULL,"NULL","\""}`},
	"pair": {"(,)", `(1,"it's ""b"",")`, `(2,"")`}, "nested": {`("(1,a)","{""(2,\\""b c\\"")"",NULL}")`},

	"pg_node_tree": nil, "pg_ndistinct": nil, "pg_dependencies": nil, "pg_mcv_list": nil, "pg_brin_bloom_summary": nil, "pg_brin_minmax_multi_summary": nil, "gtsvector": nil,
}

// sqlValue is the text as an SQL string, or the expression behind "SQL: ".
func sqlValue(text string) string {
	if sql, is := strings.CutPrefix(text, "SQL: "); is {
		return "(" + sql + ")"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// A table with a column of every type there is, and of an array of it, looks
// as psql shows it: at the types' edges, with NULLs, in one column and in many.
func TestTypes(t *testing.T) {
	h := newHall(t)
	servertest.PSQL(t, h.url, ownTypes)
	typeValues := maps.Clone(typeValues)
	if servertest.Version(t) < 17 {
		typeValues["interval"] = slices.DeleteFunc(slices.Clone(typeValues["interval"]), func(v string) bool { return strings.Contains(v, "infinity") })
	}
	there := strings.Fields(servertest.PSQL(t, h.url, `SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
		WHERE typtype <> 'p' AND typcategory <> 'A' AND typisdefined AND (typtype <> 'c' OR typname IN ('pair', 'nested'))
		AND (nspname = 'pg_catalog' OR nspname = 'public' AND typname NOT IN ('ghstore', 'lquery', 'ltxtquery', 'ltree_gist'))`))
	there = append(there, "words") // of the category of arrays
	slices.Sort(there)
	if types := slices.Sorted(maps.Keys(typeValues)); !slices.Equal(there, types) {
		t.Fatalf("the server has types %v,\nthere are values of %v", there, types)
	}
	columns, definition, rows := []string{"id"}, "id int PRIMARY KEY", 0
	for _, name := range there {
		columns = append(columns, "is "+name)
		definition += fmt.Sprintf(`, %q %q`, "is "+name, name)
		if n := len(typeValues[name]); n > 0 {
			columns = append(columns, "has "+name)
			definition += fmt.Sprintf(`, %q %q[]`, "has "+name, name)
			rows = max(rows, n)
		}
	}
	setup := []string{
		"CREATE TABLE s (" + definition + ")", "INSERT INTO s SELECT -i FROM generate_series(1, 3) i",
		`CREATE TABLE twice AS SELECT i % 5 AS a, i % 5 AS b FROM generate_series(1, 100) i; CREATE STATISTICS of_twice ON a, b FROM twice; ANALYZE twice;
		UPDATE s SET "is pg_node_tree" = (SELECT ev_action FROM pg_rewrite LIMIT 1), "is pg_ndistinct" = stxdndistinct, "is pg_dependencies" = stxddependencies,
			"is pg_mcv_list" = stxdmcv FROM pg_statistic_ext_data WHERE id = -1 AND stxoid = (SELECT oid FROM pg_statistic_ext WHERE stxrelid = 'twice'::regclass)`,
	}
	for i := range rows {
		values := fmt.Sprint(i)
		for _, name := range there {
			list := typeValues[name]
			switch {
			case list == nil:
				values += ", NULL"
			case i >= len(list):
				values += ", NULL, NULL"
			default:
				value := sqlValue(list[i])
				values += fmt.Sprintf(`, %s::%q, ARRAY[%s, NULL, %s]::%q[]`, value, name, value, value, name)
			}
		}
		setup = append(setup, "INSERT INTO s VALUES ("+values+")")
	}
	s := shape{key: []string{"id"}, columns: columns, setup: setup, want: "SELECT * FROM s ORDER BY id", order: export.ByKey, ranges: 1}
	h.check(t, s, "many")
	s.columns, s.want = []string{"is text"}, `SELECT "is text" FROM s ORDER BY id`
	h.check(t, s, "one")
}
