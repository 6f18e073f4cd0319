package dataset_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// patterns are equal when they are written the same.
var patterns = cmp.Comparer(func(a, b *regexp.Regexp) bool {
	return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
})

func TestDefault(t *testing.T) {
	want := dataset.Dataset{
		Name: "users", Description: "Customers, one row each.", Relation: dataset.Relation{Schema: "public", Name: "users"}, Key: []string{"id"},
		Columns: []dataset.Column{
			{Name: "id", Type: "integer"},
			{Name: "name", Type: "varchar(255)"},
			{Name: "email", Type: "varchar(255)"},
			{Name: "signup_date", Type: "timestamptz"},
			{Name: "country_code", Type: "char(2)"},
			{Name: "subscription_tier", Type: "varchar(50)"},
			{Name: "lifetime_value", Type: "numeric(10,2)"},
		},
		Filters: []dataset.Filter{
			{Name: "country_code", Column: "country_code", Operator: dataset.In, Type: dataset.Text, Pattern: regexp.MustCompile("^[A-Z]{2}$"), Hint: "two capital letters"},
			{Name: "subscription_tier", Column: "subscription_tier", Operator: dataset.In, Type: dataset.Text, MaxLength: 50},
			{Name: "lifetime_value_min", Column: "lifetime_value", Operator: dataset.AtLeast, Type: dataset.Decimal},
			{Name: "lifetime_value_max", Column: "lifetime_value", Operator: dataset.AtMost, Type: dataset.Decimal},
			{Name: "signup_date_from", Column: "signup_date", Operator: dataset.AtLeast, Type: dataset.Timestamp},
			{Name: "signup_date_to", Column: "signup_date", Operator: dataset.AtMost, Type: dataset.Timestamp},
		},
	}
	if diff := cmp.Diff([]dataset.Dataset{want}, dataset.Default().Datasets(), patterns); diff != "" {
		t.Errorf("default catalog (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	c, err := dataset.Parse("datasets.yaml", []byte(`
datasets:
  - name: people-2_x
    description: >-
      What it
      is.
    relation: public."My ""Table"".x"
    key: ["Id", tenant]
    order: key
    columns: [Id, {name: mail, column: email, requires: pii}, {name: "true", column: "true"}]
    requires: exports.people
    rows: {column: tenant, claim: org}
    filters:
      - {column: note, type: text, by: [equals, prefix, is_null], pattern: "^x", hint: something with x, max_length: 7}
      - {column: email, name: mail, type: text, by: [in]}
      - {column: n, type: integer, by: [in, min, max]}
      - {column: d, type: date, by: [from, to]}
    limits: {rows: 1_000, bytes: 2GiB, age: 1h30m}
  - {name: second, relation: a.b, columns: [x], order: physical, limits: {bytes: 5000}}
`))
	if err != nil {
		t.Fatal(err)
	}
	note := dataset.Filter{Column: "note", Type: dataset.Text, MaxLength: 7, Pattern: regexp.MustCompile("^x"), Hint: "something with x"}
	named := func(f dataset.Filter, name string, o dataset.Operator) dataset.Filter {
		f.Name, f.Operator = name, o
		return f
	}
	number, date := dataset.Filter{Column: "n", Type: dataset.Integer}, dataset.Filter{Column: "d", Type: dataset.Date}
	want := []dataset.Dataset{
		{
			Name: "people-2_x", Description: "What it is.", Relation: dataset.Relation{Schema: "public", Name: `My "Table".x`},
			Key: []string{"Id", "tenant"}, Order: export.ByKey,
			Columns:  []dataset.Column{{Name: "Id"}, {Name: "mail", Column: "email", Requires: "pii"}, {Name: "true"}},
			Requires: "exports.people", Rows: dataset.RowScope{Column: "tenant", Claim: "org"},
			Filters: []dataset.Filter{
				named(note, "note", dataset.Equals), named(note, "note_prefix", dataset.Prefix), named(note, "note_is_null", dataset.IsNull),
				{Name: "mail", Column: "email", Operator: dataset.In, Type: dataset.Text},
				named(number, "n", dataset.In), named(number, "n_min", dataset.AtLeast), named(number, "n_max", dataset.AtMost),
				named(date, "d_from", dataset.AtLeast), named(date, "d_to", dataset.AtMost),
			},
			Limits: dataset.Limits{Rows: 1000, Bytes: 2 << 30, Age: 90 * time.Minute},
		},
		{
			Name: "second", Relation: dataset.Relation{Schema: "a", Name: "b"}, Columns: []dataset.Column{{Name: "x"}},
			Order: export.Physical, Limits: dataset.Limits{Bytes: 5000},
		},
	}
	if diff := cmp.Diff(want, c.Datasets(), patterns); diff != "" {
		t.Errorf("catalog (-want +got):\n%s", diff)
	}
}

// The example of docs/datasets.md is right.
func TestParse_documentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/datasets.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if c, err := dataset.Parse("datasets.md", []byte(example)); err != nil || len(c.Datasets()) != 1 {
		t.Errorf("%v\n%s", err, example)
	}
}

// problemCases are catalogs and all that is said of each.
var problemCases = []struct{ name, text, want string }{
	{"nothing", "", "f.yaml:1: has no datasets"},
	{"a comment", "# nothing yet\n", "f.yaml:1: has no datasets"},
	{"no datasets", "datasets: []", "f.yaml:1: datasets is an empty list"},
	{"nothing in it", "datasets:\n", "f.yaml:1: datasets must be a list, not nothing"},
	{"a text", "users", "f.yaml:1: the catalog must be a mapping, not a text"},
	{"another key", "dataset: []", `f.yaml:1: the catalog has no key "dataset"; its keys are datasets, destinations`},
	{"no YAML", "datasets:\n  - name: [x\n", "f.yaml:2: is no YAML: sequence end token ']' not found"},
	{"two documents", "datasets: [{name: a, relation: b.c, columns: [d]}]\n---\ndatasets: []\n", "f.yaml:3: a catalog is one YAML document; a second one begins here"},
	{"an anchor", "datasets:\n  - &a {name: a, relation: b.c, columns: [d]}\n  - *a\n", "f.yaml:2: a dataset must be a mapping, not YAML of the kind anchor, which isn't understood here\n" +
		"f.yaml:3: a dataset must be a mapping, not YAML of the kind alias, which isn't understood here"},
	{
		"everything at once", `datasets:
  - name: Users
    relation: users
    key: [id, id]
    order: random
    columns:
      - id
      - id
      - 7
      - {name: mail, colunm: email}
      - {column: x}
      - {name: b, requires: "a b"}
      - ""
    rows: {column: tenant}
    requires: 3
    limits: {rows: 0, bytes: 1 Gigabyte, age: -5m, cost: 1}
    filters:
      - {column: a, type: text, by: [min, in, in, contains, equals]}
      - {column: b, type: money, by: [in]}
      - {column: c, type: text, by: [in], pattern: "[", hint: x}
      - {column: c, type: text, by: equals}
      - {column: c, type: text, by: [equals], hint: y}
      - {type: integer, pattern: x, max_length: 3}
      - {column: d, type: text, by: [prefix], pattern: "^x$"}
    limits: {}
  - relation: public.Users
    columns: []
    order: key
    rows: [tenant]
  - {name: x, relation: a.b, columns: [c], key: [c], order: physical}
  - {name: x, relation: a."b, columns: [c]}
  - {name: y, relation: a."", columns: {c: d}}
  - just a text
`, `f.yaml:2: the name "Users" must be a lower-case letter and then lower-case letters, digits, _ and -, 63 characters at most
f.yaml:3: the relation "users" must be SCHEMA.TABLE, such as public.users or public."My Table"
f.yaml:4: the key has the column "id" twice
f.yaml:5: the order "random" must be auto, key or physical
f.yaml:8: there is a column "id" already
f.yaml:9: a column must be a mapping, not the number 7
f.yaml:10: a column has no key "colunm"; its keys are name, column, type, requires
f.yaml:11: the column has no name
f.yaml:12: the scope "a b" must be of ASCII characters without a space, " and \
f.yaml:13: a column's name is empty
f.yaml:14: rows has no claim: it needs a column, and the claim whose values are a caller's own
f.yaml:15: requires must be a text, not the number 3; if it is a text, put it in quotes
f.yaml:16: limits has no key "cost"; its keys are rows, bytes, age
f.yaml:16: rows must be a whole number of at least 1, not the number 0
f.yaml:16: the bytes "1 Gigabyte" must be a size such as 500MB or 1GiB
f.yaml:16: the age "-5m" must be a time such as 90s, 10m or 1h30m
f.yaml:18: a filter by min is for the types integer, decimal, not text
f.yaml:18: in is given twice
f.yaml:18: "contains" must be one of equals, in, min, max, from, to, prefix and is_null
f.yaml:18: equals and in have the same name; in also takes one value
f.yaml:19: the type "money" must be one of text, integer, decimal, boolean, uuid, date, timestamp
f.yaml:20: the pattern is no regular expression: error parsing regexp: missing closing ]: ` + "`[`" + `
f.yaml:21: by must be a list, not a text
f.yaml:22: the hint puts a pattern in words, and there is none
f.yaml:22: there is a filter "c" already
f.yaml:23: the filter has no column
f.yaml:23: the filter has no by
f.yaml:23: only a text has a max_length
f.yaml:23: only a text has a pattern
f.yaml:24: the pattern is of whole values, by equals or in
f.yaml:25: limits is given twice
f.yaml:26: the dataset has no name
f.yaml:26: the name "Users" of the relation must be quoted as in SQL, such as public."My Table"
f.yaml:27: columns is an empty list
f.yaml:28: the order key needs a key
f.yaml:29: rows must be a mapping, not a list
f.yaml:30: the order physical uses no key: leave out the key, or choose the order auto
f.yaml:31: the relation "a.\"b" must be SCHEMA.TABLE, such as public.users or public."My Table"
f.yaml:31: there is a dataset x already
f.yaml:32: the relation's name is empty or has a zero byte
f.yaml:32: columns must be a list, not a mapping
f.yaml:33: a dataset must be a mapping, not a text`,
	},
	{
		"long names", "datasets:\n  - name: a\n    relation: b." + strings.Repeat("c", 64) + "\n    columns: [" + strings.Repeat("d", 63) + ", " + strings.Repeat("ü", 32) + "]\n",
		`f.yaml:3: the relation's name "` + strings.Repeat("c", 40) + `…" is longer than 63 bytes, which is all that Postgres keeps` + "\n" +
			`f.yaml:4: a column's name "` + strings.Repeat("ü", 32) + `" is longer than 63 bytes, which is all that Postgres keeps`,
	},
}

// A deployer learns everything at once, with the place of each.
func TestParse_namesEveryProblem(t *testing.T) {
	for _, test := range problemCases {
		t.Run(test.name, func(t *testing.T) {
			c, err := dataset.Parse("f.yaml", []byte(test.text))
			if err == nil || c != nil {
				t.Fatalf("catalog %v, error %v", c, err)
			}
			if diff := cmp.Diff(strings.Split(test.want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
