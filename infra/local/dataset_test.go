package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/stack"
)

// withPostgres calls f with a fresh server's database.
func withPostgres(t *testing.T, f func(psql.DB)) {
	t.Helper()
	folder, err := stack.Open("../..", "dataset-test", true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := folder.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = stack.WithPostgres(t.Context(), folder, os.Stderr, func(db psql.DB) error {
		f(db)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

const everything = `datasets:
  - name: every_thing # what requests call it
    description: "All: # \"of\" it"
    relation: "public.\"Every Thing\""
    key: [a, b] # the order of the rows; unique, and never NULL
    # A column may have another name in the file, and need a scope of the caller's token: {name: mail, column: email, requires: pii}
    columns: # types are for callers to read
      - {name: "n", type: "character varying(9)"}
      - {name: a, type: bigint}
      - {name: b, type: text}
      - {name: e, type: e}
      - {name: "on", type: boolean}
      - {name: at, type: "timestamp with time zone"}
      - {name: d, type: day}
      - {name: m, type: "numeric(5,2)"}
      - {name: j, type: jsonb}
      - {name: a_min, type: uuid}
    # requires: exports.every_thing # a scope that every caller needs
    # rows: {column: tenant_id, claim: tenant} # only the rows of the caller's own claim
    # limits: {rows: 10000000, bytes: 2GiB, age: 10m}
    filters: # of the columns that an index begins with
      - {column: "n", type: text, by: [in, is_null]}
      - {column: a, type: integer, by: [in, min, max]}
      - {column: e, type: text, by: [in, is_null], pattern: "^(?:x\\.y|it's)$", hint: "one of x.y, it's"}
      - {column: "on", type: boolean, by: [equals]}
      - {column: at, type: timestamp, by: [from, to, is_null]}
      - {column: d, type: date, by: [from, to]}
      - {column: m, type: decimal, by: [min, max, is_null]}
      - {column: a_min, type: uuid, by: [is_null]}
`

const view = `
  - name: t2024 # what requests call it
    relation: "public.\"2024\""
    # key: [id] # the order of the rows. This one has no unique index without NULLs; name columns here if you know better.
    # A column may have another name in the file, and need a scope of the caller's token: {name: mail, column: email, requires: pii}
    columns: # types are for callers to read
      - {name: x, type: integer}
    # requires: exports.t2024 # a scope that every caller needs
    # rows: {column: tenant_id, claim: tenant} # only the rows of the caller's own claim
    # limits: {rows: 10000000, bytes: 2GiB, age: 10m}
    # No index begins with a column that a filter could be for, so there are none: docs/datasets.md says how to add one.
`

// An entry is made of the database's catalogs, and put behind what is there.
func TestDataset(t *testing.T) {
	withPostgres(t, func(db psql.DB) {
		for _, sql := range []string{
			"CREATE TYPE e AS ENUM ('x.y', 'it''s')", "CREATE DOMAIN day AS date",
			`CREATE TABLE "Every Thing" (n varchar(9) UNIQUE, gone int, a bigint NOT NULL, b text NOT NULL, e e, "on" boolean NOT NULL, at timestamptz, d day NOT NULL,
				m numeric(5, 2), j jsonb, a_min uuid, UNIQUE (a, b))`,
			`ALTER TABLE "Every Thing" DROP gone`, `COMMENT ON TABLE "Every Thing" IS 'All: # "of" it'`,
			`CREATE INDEX ON "Every Thing" (e); CREATE INDEX ON "Every Thing" ("on"); CREATE INDEX ON "Every Thing" (at); CREATE INDEX ON "Every Thing" (d, b);
				CREATE INDEX ON "Every Thing" (m); CREATE INDEX ON "Every Thing" USING gin (j); CREATE INDEX ON "Every Thing" (a_min); CREATE UNIQUE INDEX ON "Every Thing" (b) WHERE a > 0`,
			`CREATE VIEW "2024" AS SELECT 1 AS x`, "CREATE TABLE empty ()", "CREATE SEQUENCE counter",
		} {
			if _, err := db.Value(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(t.TempDir(), "mine.yaml")
		add := func(table string) (int, string) {
			code, _, errs := call(t.Context(), "dataset", "-database-url", db.URL, "-datasets", file, table)
			return code, errs
		}
		want := fileHeader[:len(fileHeader)-len("datasets:\n")] + everything
		for _, step := range []struct{ table, added string }{{`"Every Thing"`, ""}, {`public."2024"`, view}} {
			if code, errs := add(step.table); code != 0 {
				t.Fatalf("%s: status %d\n%s", step.table, code, errs)
			}
			want += step.added
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Fatalf("%s: the file (-want +got):\n%s", step.table, diff)
			}
		}
		for table, says := range map[string]string{
			`"2024"`: "there is a dataset t2024 already", "nowhere": "there is no table nowhere", "empty": "has no columns", "counter": "neither a table nor a view", "": "no table",
		} {
			if code, errs := add(table); code != 1 || !strings.Contains(errs, says) {
				t.Errorf("%q: status %d, want 1 and %q\n%s", table, code, says, errs)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("refused entries changed the file to\n%s", got)
		}
	})
}

// What a file holds stays as it is, and an entry is put only where it belongs.
func TestAddition(t *testing.T) {
	tbl := table{Schema: "s", Name: "t", Columns: []tableColumn{{Name: "c"}}}
	for name, tt := range map[string]struct{ text, indent, says string }{
		"no file":         {"", "  ", ""},
		"blank lines":     {"\n\n", "  ", ""},
		"no indent":       {"# mine\ndatasets:\n- name: a # keep\n  columns: [x]", "", ""},
		"deep indent":     {"datasets:\n      - name: a\n", "      ", ""},
		"a list in a row": {"datasets: [{name: a}]\n", "", "its end is no place to add an entry at"},
		"another key":     {"datasets:\n  - name: a\nother: 1\n", "", "its end is no place to add an entry at"},
		"an open text":    {"datasets:\n  - name: a\n    description: |\n      text\n", "  ", ""},
		"the same name":   {"datasets:\n  - name: t\n", "", "there is a dataset t already"},
		"another file":    {"a: 1\n", "", "has no datasets"},
		"no YAML":         {"datasets: [\n", "", "is no YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			added, err := addition("f.yaml", []byte(tt.text), "t", tbl)
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), "f.yaml: "+tt.says) {
					t.Errorf("error %v, want %q", err, tt.says)
				}
				return
			}
			if err != nil || !strings.Contains(added, "\n"+tt.indent+"- name: t #") {
				t.Errorf("added %q, error %v", added, err)
			}
			if names, _, err := datasetNames([]byte(tt.text + added)); err != nil || names[len(names)-1] != "t" {
				t.Errorf("then the file has %v, error %v", names, err)
			}
		})
	}
}
