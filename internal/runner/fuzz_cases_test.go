package runner

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// hostileTexts are hard for quoting, for CSV, or for a spreadsheet.
var hostileTexts = []string{
	"", " ", "  a  ", "it's", `"`, `""`, `a"b`, `\`, `\\`, `\.`, `\N`, "NULL", "n", ",", ";", "\t", "|", "a\nb", "a\r\nb", "\r", "\n", "\n\n", "\r\n",
	"=1+1", "+1", "-1", "@x", "\tx", "\rx", "=", "'=1", "\ufeff", "\ufeffa", "é", "日本語", "𝔘", "a\u0301", "\u2028", "\u202e", "\x01\x7f", "$1", "%s", "';--",
	"E'\\x27'", "{}", "()", "1,2", `'"'"'`, "''", "\\'", "\\x27", "∅", strings.Repeat("long ", 90),
}

// kind is a type of a column, and values of it as Postgres reads them.
type kind struct {
	name    string
	values  []string
	text    bool // the formula guard is for it
	ordered bool // a filter may compare it
}

// fuzzTypes are types that aren't Postgres's own.
const fuzzTypes = `CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, "fine"', '=1'); CREATE TYPE pair AS (a int, b text);
	CREATE DOMAIN word AS text CHECK (value <> 'refused');
	CREATE DOMAIN amount AS numeric(20, 4); CREATE EXTENSION citext SCHEMA public`

// fuzzKinds have the hostile texts as values where there are none.
var fuzzKinds = []kind{
	{name: "text", text: true, ordered: true},
	{name: `text COLLATE "C"`, text: true, ordered: true},
	{name: "varchar", text: true, ordered: true},
	{name: "word", text: true, ordered: true},
	{name: "citext", text: true},
	{name: "bpchar", text: true, values: []string{"", "a", "a  ", "=1", "-", "it's", "é", "\n"}},
	{name: "char(9)", text: true, values: []string{"", "a", "a  ", "=1", "-", "it's", "é", "\n", `\.`, "123456789"}},
	{name: "name", text: true, values: []string{"", "a", "=1", "it's", `"`, "a b"}},
	{name: `"char"`, values: []string{"", "a", "=", ",", `"`, "\n", `\377`}},
	{name: "int", values: []string{"0", "-1", "2147483647", "-2147483648", "42"}, ordered: true},
	{name: "smallint", values: []string{"0", "-1", "32767", "-32768"}, ordered: true},
	{name: "bigint", values: []string{"0", "-1", "9223372036854775807", "-9223372036854775808"}, ordered: true},
	{name: "numeric", values: []string{"0", "-0.000", "1e-30", "12345678901234567890123456789.5", "NaN", "Infinity", "-Infinity", "1.10"}, ordered: true},
	{name: "numeric(9,3)", values: []string{"0", "-1.5", "NaN", "123456.789"}, ordered: true},
	{name: "amount", values: []string{"0", "-1.5"}, ordered: true},
	{name: "float8", values: []string{"0", "-0", "0.1", "1e300", "5e-324", "NaN", "Infinity", "-Infinity", "123456789.123456789"}, ordered: true},
	{name: "float4", values: []string{"0", "-0", "0.1", "1e30", "NaN", "-Infinity", "16777217"}},
	{name: "money", values: []string{"0", "-1.5", "92233720368547758.07", "1,234.50"}},
	{name: "boolean", values: []string{"true", "false"}, ordered: true},
	{name: "date", values: []string{"2024-02-29", "0001-01-01", "4713-01-01 BC", "infinity", "-infinity", "5874897-12-31"}, ordered: true},
	{name: "time", values: []string{"00:00", "24:00", "12:34:56.789012"}, ordered: true},
	{name: "timetz", values: []string{"00:00+14", "23:59:59.999999-12:30"}},
	{name: "timestamp", values: []string{"2024-02-29 12:00", "epoch", "4713-01-01 BC", "infinity", "294276-12-31 23:59:59.999999"}, ordered: true},
	{name: "timestamptz", values: []string{"2024-02-29 12:00+02", "epoch", "4713-01-01 BC", "-infinity", "2024-01-01 00:00:00.000001Z"}, ordered: true},
	{name: "interval", values: []string{"0", "-1 year 2 mons -3 days 04:05:06.789", "178000000 years", "infinity", "1 day -1 second"}},
	{name: "uuid", values: []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"}, ordered: true},
	{name: "bytea", values: []string{"", `\x00`, `\x5c2e`, `\xdeadbeef0a0d`}, ordered: true},
	{name: "json", values: []string{"null", `{"a": "\n\"", "b":[1, 2]}`, `"=1"`, `{"a":1,"a":2}`}},
	{name: "jsonb", values: []string{"null", `{"a": "\n\"", "b":[1, 2]}`, `"é"`, "[]"}},
	{name: "jsonpath", values: []string{`$."a b"[*] ? (@ > 1)`, "strict $.x"}},
	{name: "text[]", values: []string{"{}", `{a,NULL,"NULL","it's"}`, `{"\"","\\","a,b","a b"}`, "{{1,2},{3,4}}", `[0:1]={a,b}`}},
	{name: "int[]", values: []string{"{}", "{1,NULL,-3}"}},
	{name: "mood", values: []string{"sad", "ok", `it's, "fine"`, "=1"}, ordered: true},
	{name: "pair", values: []string{"(,)", `(1,"a ""b"", 'c'")`, "(2,\"\n\")"}},
	{name: "int4range", values: []string{"empty", "(,)", "[1,5)"}},
	{name: "tstzmultirange", values: []string{"{}", "{[2024-01-01 00:00+00,2024-01-02 00:00+00),[2025-01-01 00:00+00,)}"}},
	{name: "inet", values: []string{"0.0.0.0/0", "10.0.0.1", "fe80::1/64", "::"}, ordered: true},
	{name: "macaddr8", values: []string{"08:00:2b:01:02:03:04:05"}},
	{name: "point", values: []string{"(0,-0)", "(1e300,NaN)"}},
	{name: "polygon", values: []string{"((0,0),(1,1),(1,0))"}},
	{name: "bit(5)", values: []string{"00000", "10101"}},
	{name: "varbit", values: []string{"", "1", "010"}},
	{name: "tsvector", values: []string{"", `'a b':1A 'it''s':2`, `'"'`}},
	{name: "tsquery", values: []string{"", "'a b' & !c:*"}},
	{name: "pg_lsn", values: []string{"0/0", "FFFFFFFF/FFFFFFFF"}},
	{name: "oid", values: []string{"0", "4294967295"}},
	{name: "regclass", values: []string{"pg_class", "pg_type"}},
	{name: "xid8", values: []string{"0", "18446744073709551615"}},
}

// randomValues are values of types that have many, beside those of the kind.
var randomValues = map[string]func(*rand.Rand) string{
	"int":          func(r *rand.Rand) string { return fmt.Sprint(int32(r.Uint32()) >> r.IntN(32)) },
	"bigint":       func(r *rand.Rand) string { return fmt.Sprint(int64(r.Uint64()) >> r.IntN(64)) },
	"numeric":      randomNumeric,
	"numeric(9,3)": func(r *rand.Rand) string { return fmt.Sprintf("%d.%03d", r.IntN(1999)-999, r.IntN(1000)) },
	"amount":       func(r *rand.Rand) string { return fmt.Sprintf("%d.%04d", r.IntN(1<<r.IntN(30)+1), r.IntN(10000)) },
	"float8":       func(r *rand.Rand) string { return fmt.Sprint(math.Float64frombits(r.Uint64())) },
	"float4":       func(r *rand.Rand) string { return fmt.Sprint(math.Float32frombits(r.Uint32() & 0xbfffffff)) },
	"date":         func(r *rand.Rand) string { return randomMoment(r, 5874897, "") },
	"timestamp":    func(r *rand.Rand) string { return randomMoment(r, 294275, " "+randomTime(r)) },
	"timestamptz":  func(r *rand.Rand) string { return randomMoment(r, 294275, " "+randomTime(r)+"+00") },
	"time":         randomTime,
	"interval": func(r *rand.Rand) string {
		return fmt.Sprintf("%d mons %d days %s", r.IntN(99)-49, r.IntN(99)-49, randomTime(r))
	},
	"uuid":  func(r *rand.Rand) string { return fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()) },
	"bytea": func(r *rand.Rand) string { return fmt.Sprintf(`\x%016x`, r.Uint64()) },
	"oid":   func(r *rand.Rand) string { return fmt.Sprint(r.Uint32() >> r.IntN(32)) },
}

// randomNumeric has up to some hundred digits, zeros in places where they are
// easily lost among them.
func randomNumeric(r *rand.Rand) string {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "0000123456789"[r.IntN(13)]
		}
		return string(b)
	}
	return []string{"", "-"}[r.IntN(2)] + digits(1+r.IntN(1<<r.IntN(8))) + "." + digits(1+r.IntN(1<<r.IntN(8))) + []string{"", "e9", "e-7"}[r.IntN(3)]
}

// randomMoment is a day of the years from 4712 BC to last, most often of few
// digits, with a time of the day behind it.
func randomMoment(r *rand.Rand, last int, time string) string {
	year := 1 + r.IntN(1+r.IntN([]int{1, 2100, 9999, last}[r.IntN(4)]))
	day := fmt.Sprintf("%04d-%02d-%02d", year, 1+r.IntN(12), 1+r.IntN(28)) + time
	if year <= 4712 && r.IntN(3) == 0 {
		day += " BC"
	}
	return day
}

// randomTime has from no to six digits of a second's fraction.
func randomTime(r *rand.Rand) string {
	fraction := fmt.Sprintf(".%06d", r.IntN(1000000))
	return fmt.Sprintf("%02d:%02d:%02d", r.IntN(24), r.IntN(60), r.IntN(60)) + fraction[:r.IntN(8)]
}

type fuzzColumn struct {
	name string
	kind kind
	pool []string // the values that occur; one in four rows has NULL
}

type fuzzFilter struct {
	column   fuzzColumn
	operator dataset.Operator
	values   []string
}

// fuzzCase is a table, what is asked of it, and how it is read.
type fuzzCase struct {
	seed        uint64
	rows        int
	shuffled    bool     // rows lie in no order
	key         []string // some of k1 (int) and k2 (text); empty for the physical order
	table       []fuzzColumn
	columns     []fuzzColumn // some of the table's, or a key's
	filter      *fuzzFilter  // may be nil
	format      export.Format
	connections int
	cuts        int     // keys that bound ranges
	pages       []int64 // that bound ranges, without a key
}

var (
	keyColumns = []fuzzColumn{{name: "k1", kind: kind{name: "int"}}, {name: "k2", kind: kind{name: "text", text: true}}}
	fuzzNames  = []string{"a", "b", "select", "a b", `q"u`, "it's", "a,b", "=1", `\.`, "Ä", "x\ny", "t", "NULL", "n", "%s", "$1"}
	keys       = [][]string{nil, {"k1"}, {"k2"}, {"k1", "k2"}, {"k2", "k1"}}
)

func newFuzzCase(seed uint64) fuzzCase {
	r := rand.New(rand.NewPCG(seed, 5))
	c := fuzzCase{
		seed: seed, rows: r.IntN([]int{1, 3, 100, 400, 4000}[r.IntN(5)]), shuffled: r.IntN(2) == 0, key: keys[r.IntN(len(keys))],
		format: fuzzFormat(r), connections: 1 + r.IntN(4), cuts: r.IntN(6),
	}
	names := r.Perm(len(fuzzNames))
	for i := range 1 + r.IntN(6) {
		k := fuzzKinds[r.IntN(len(fuzzKinds))]
		if r.IntN(3) == 0 {
			k = fuzzKinds[r.IntN(3)] // text is what there is most to go wrong with
		}
		col := fuzzColumn{name: fuzzNames[names[i]], kind: k}
		for range 1 + r.IntN(7) {
			col.pool = append(col.pool, fuzzValue(r, k))
		}
		c.table = append(c.table, col)
	}
	c.columns = c.table
	if r.IntN(2) == 0 {
		c.columns = append(slices.Clone(keyColumns), c.table...)
		r.Shuffle(len(c.columns), func(i, j int) { c.columns[i], c.columns[j] = c.columns[j], c.columns[i] })
		c.columns = c.columns[:1+r.IntN(len(c.columns))]
	}
	c.filter = fuzzFilterOf(r, c.table[r.IntN(len(c.table))])
	for page := r.Int64N(3); len(c.pages) < c.cuts; page += r.Int64N(9) {
		if page++; r.IntN(3) > 0 {
			c.pages = append(c.pages, page)
		}
	}
	return c
}

// fuzzValue is one of the kind's values; for a text, one or several of the
// hostile ones, or any characters.
func fuzzValue(r *rand.Rand, k kind) string {
	if random := randomValues[k.name]; random != nil && r.IntN(3) > 0 {
		return random(r)
	}
	if k.values != nil {
		return k.values[r.IntN(len(k.values))]
	}
	text := hostileTexts[r.IntN(len(hostileTexts))]
	for r.IntN(3) == 0 {
		text += hostileTexts[r.IntN(len(hostileTexts))]
	}
	if r.IntN(4) > 0 {
		return text
	}
	for range r.IntN(12) {
		c := rune(1 + r.IntN(1<<(1+r.IntN(20))))
		if utf8.ValidRune(c) {
			text = string(c) + text
		}
	}
	return text
}

// fuzzFilterOf may return nil: for no filter.
func fuzzFilterOf(r *rand.Rand, col fuzzColumn) *fuzzFilter {
	if !col.kind.ordered || r.IntN(3) == 0 {
		return nil
	}
	f := &fuzzFilter{column: col, operator: []dataset.Operator{dataset.In, dataset.AtLeast, dataset.AtMost, dataset.Before}[r.IntN(4)]}
	n := 1
	if f.operator == dataset.In {
		n += r.IntN(4)
	}
	for range n {
		f.values = append(f.values, col.pool[r.IntN(len(col.pool))])
	}
	return f
}

// fuzzFormat chooses among all that a request may ask for.
func fuzzFormat(r *rand.Rand) export.Format {
	f := export.DefaultFormat()
	yes := func() bool { return r.IntN(2) == 0 }
	f.Header, f.BOM, f.FormulaGuard = yes(), yes(), yes()
	if yes() {
		f.LineEnding = export.CRLF
	}
	if yes() {
		f.Compression = export.NoCompression
	}
	if yes() {
		return f
	}
	character := func() string {
		for {
			if c := 1 + r.IntN(127); c != '\r' && c != '\n' {
				return string(rune(c))
			}
		}
	}
	usual := func(list string) string { return list[r.IntN(len(list)):][:1] }
	for f.Quote = ""; f.Quote == "" || f.Quote == f.Delimiter; {
		f.Delimiter, f.Quote = usual(",;\t| :"), usual(`"'|~`)
		if r.IntN(3) == 0 {
			f.Delimiter, f.Quote = character(), character()
		}
	}
	for _, null := range []string{"", "NULL", `\N`, "n", " ", "∅", `\.`, "it's", "-", "\t"} {
		if r.IntN(6) == 0 && !strings.ContainsAny(null, f.Delimiter+f.Quote) {
			f.Null = null
		}
	}
	return f
}

// String describes the case for whoever looks for the bug.
func (c fuzzCase) String() string {
	return fmt.Sprintf("%d connections, %d cuts, pages %v, format %+v\n%s\n%s", c.connections, c.cuts, c.pages, c.format, c.tableSQL(), c.copySQL())
}
