package runner_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/s3file"
	"csvexport/internal/servertest"
)

const (
	seedsFolder = "../../seeds"
	exampleRows = 4000
)

// examples is a runner on the example tables and a catalog of them, and the
// database's URL.
func examples(t *testing.T, catalog *dataset.Catalog) (fixture, string) {
	t.Helper()
	url := servertest.Database(t)
	servertest.Seed(t, url, seedsFolder, "events", exampleRows)
	servertest.Seed(t, url, seedsFolder, "orders", exampleRows)
	f := newFixture(t, url)
	f.Catalog = catalog
	return f, url
}

func given(name string, values ...string) dataset.GivenFilter {
	g := dataset.GivenFilter{Name: name, IsList: len(values) > 1}
	for _, v := range values {
		g.Values = append(g.Values, dataset.Value{Text: v, IsBoolean: v == "true" || v == "false"})
	}
	return g
}

// exported makes an export of a request, by a caller with the given rights.
func (f fixture) exported(t *testing.T, r dataset.Request, a dataset.Access) export.Export {
	t.Helper()
	spec, err := f.Catalog.Spec(r, a)
	if err != nil {
		t.Fatalf("%s", err)
	}
	d, _ := f.Catalog.Find(r.Dataset)
	return f.export(t, d, spec)
}

// wantFile checks that an export is what psql says of a query, which finds
// some rows, and not all.
func (f fixture) wantFile(t *testing.T, e export.Export, url, query string, some bool) {
	t.Helper()
	if e.Status != export.Completed {
		t.Fatalf("the export is %s: %+v", e.Status, e.Failure)
	}
	want := servertest.PSQL(t, url, "COPY ("+query+") TO STDOUT (FORMAT csv, HEADER)")
	if got := f.member(t, e); got != want {
		t.Error(difference(got, want))
	}
	if some && (e.Result.Rows == 0 || e.Result.Rows == exampleRows) {
		t.Errorf("%d rows of %d match: this proves little", e.Result.Rows, exampleRows)
	}
}

// The examples of seeds/, by every operator for every type, are what psql
// makes of SQL that was written by hand.
func TestDatasets_examples(t *testing.T) {
	catalog, err := dataset.Load(t.Context(), seedsFolder+"/datasets.yaml", s3file.Read)
	if err != nil {
		t.Fatal(err)
	}
	f, url := examples(t, catalog)
	id := strings.TrimSpace(servertest.PSQL(t, url, "SELECT max(id::text) FROM events"))
	events := func(where string) string {
		return "SELECT id, tenant_id AS tenant, kind, created_at AS at, source, payload, tags, scores FROM events WHERE " + where + " ORDER BY id"
	}
	orders := func(where string) string {
		return "SELECT id, ordered_on, tenant_id, customer_id, status, paid, total, note FROM orders WHERE " + where + " ORDER BY ordered_on, orders.id"
	}
	for _, test := range []struct {
		name, dataset string
		filters       []dataset.GivenFilter
		query         string
	}{
		{"events", "events", nil, events("true")},
		{"orders", "orders", nil, orders("true")},
		{"uuid in", "events", []dataset.GivenFilter{given("id", strings.ToUpper(id), "00000000-0000-0000-0000-000000000000")}, events("id = '" + id + "'")},
		{"text in, by another name", "events", []dataset.GivenFilter{given("tenant", "o'neil & co", "acme")}, events("tenant_id IN ('acme', 'o''neil & co')")},
		{"text equals", "events", []dataset.GivenFilter{given("source", `import, "old"`)}, events(`source = 'import, "old"'`)},
		{"prefix", "events", []dataset.GivenFilter{given("kind_prefix", "p")}, events("left(kind, 1) = 'p'")},
		{"prefix with a percent sign", "events", []dataset.GivenFilter{given("kind_prefix", "refund_50%")}, events("kind = 'refund_50%'")},
		{"prefix with an underscore", "events", []dataset.GivenFilter{given("kind_prefix", "_")}, events("false")},
		{"prefix that is a percent sign", "events", []dataset.GivenFilter{given("kind_prefix", "%")}, events("false")},
		{"prefix with a backslash", "events", []dataset.GivenFilter{given("kind_prefix", `log\`)}, events(`kind = 'log\out'`)},
		{"is null", "events", []dataset.GivenFilter{given("source_is_null", "true")}, events("source IS NULL")},
		{"is not null", "events", []dataset.GivenFilter{given("source_is_null", "false")}, events("source IS NOT NULL")},
		{
			"timestamps", "events",
			[]dataset.GivenFilter{given("at_from", "2024-01-01T12:00:00+01:00"), given("at_to", "2024-01-01")},
			events("created_at >= '2024-01-01 11:00+00' AND created_at < '2024-01-02 00:00+00'"),
		},
		{"integer in", "orders", []dataset.GivenFilter{given("id", "17", "4000", "9223372036854775807")}, orders("id IN (17, 4000)")},
		{"integers", "orders", []dataset.GivenFilter{given("id_min", "100"), given("id_max", "0200")}, orders("id BETWEEN 100 AND 200")},
		{"an integer beyond the column's type", "orders", []dataset.GivenFilter{given("tenant_id", "3000000000", "2")}, orders("tenant_id = 2")},
		{"dates", "orders", []dataset.GivenFilter{given("ordered_on_from", "2024-06-30"), given("ordered_on_to", "2024-07-02")}, orders("ordered_on BETWEEN '2024-06-30' AND '2024-07-02'")},
		{"true", "orders", []dataset.GivenFilter{given("paid", "true")}, orders("paid")},
		{"false", "orders", []dataset.GivenFilter{given("paid", "false")}, orders("NOT paid")},
		{"a boolean that is null", "orders", []dataset.GivenFilter{given("paid_is_null", "true")}, orders("paid IS NULL")},
		{"decimals", "orders", []dataset.GivenFilter{given("total_min", "500.50"), given("total_max", "50000")}, orders("total BETWEEN 500.5 AND 50000")},
		{"text with a prefix of formulas", "orders", []dataset.GivenFilter{given("note_prefix", "=1"), given("status", "new", "returned", "shipped", "delivered")}, orders("note LIKE '=1%'")},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := f.exported(t, dataset.Request{Dataset: test.dataset, Filters: test.filters}, dataset.Access{})
			some := test.filters != nil && !strings.Contains(test.query, "false")
			f.wantFile(t, e, url, test.query, some)
		})
	}
}

// The formula guard finds a column by its name in the relation.
func TestDatasets_renamedAndGuarded(t *testing.T) {
	f, url := examples(t, dataset.New(dataset.Dataset{
		Name: "o", Relation: dataset.Relation{Schema: "public", Name: "orders"}, Key: []string{"ordered_on", "id"},
		Columns: []dataset.Column{{Name: "id", Column: "note"}, {Name: "note", Column: "id"}, {Name: "Total $", Column: "total"}},
	}))
	format := export.DefaultFormat()
	format.FormulaGuard = true
	e := f.exported(t, dataset.Request{Dataset: "o", Format: &format}, dataset.Access{})
	f.wantFile(t, e, url, `SELECT CASE WHEN note LIKE '=%' THEN '''' || note ELSE note END AS id, id AS note, total AS "Total $" FROM orders ORDER BY ordered_on, orders.id`, false)
}

// A caller gets the rows of the claim and the columns of the scopes, whatever
// the filters say.
func TestDatasets_rights(t *testing.T) {
	catalog, err := dataset.Parse("rights.yaml", []byte(`
datasets:
  - name: orders
    relation: public.orders
    key: [ordered_on, id]
    columns: [id, tenant_id, {name: amount, column: total, requires: money}]
    rows: {column: tenant_id, claim: tenant}
    filters:
      - {column: tenant_id, type: integer, by: [in, min, is_null]}
`))
	if err != nil {
		t.Fatal(err)
	}
	f, url := examples(t, catalog)
	of := func(scope string, tenants ...string) dataset.Access {
		return dataset.Access{Scopes: []string{scope}, Claims: map[string][]string{"tenant": tenants}}
	}
	query := func(columns, where string) string {
		return "SELECT " + columns + " FROM orders WHERE " + where + " ORDER BY ordered_on, orders.id"
	}
	for _, test := range []struct {
		name    string
		access  dataset.Access
		filters []dataset.GivenFilter
		query   string
	}{
		{"one tenant", of("money", "2"), nil, query("id, tenant_id, total AS amount", "tenant_id = 2")},
		{"no scope", of("", "2"), nil, query("id, tenant_id", "tenant_id = 2")},
		{"several tenants", of("", "4", "3"), nil, query("id, tenant_id", "tenant_id IN (3, 4)")},
		{"a wide filter", of("", "2"), []dataset.GivenFilter{given("tenant_id_min", "0")}, query("id, tenant_id", "tenant_id = 2")},
		{"another tenant", of("", "2"), []dataset.GivenFilter{given("tenant_id", "3")}, query("id, tenant_id", "false")},
		{"no tenant's", of("", "2"), []dataset.GivenFilter{given("tenant_id_is_null", "true")}, query("id, tenant_id", "false")},
		{"every tenant", of("", "2"), []dataset.GivenFilter{given("tenant_id", "1", "2", "3", "4", "5")}, query("id, tenant_id", "tenant_id = 2")},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := f.exported(t, dataset.Request{Dataset: "orders", Filters: test.filters}, test.access)
			f.wantFile(t, e, url, test.query, !strings.Contains(test.query, "false"))
		})
	}
	t.Run("SQL in a claim", func(t *testing.T) {
		e := f.exported(t, dataset.Request{Dataset: "orders"}, of("", "2) OR (1=1", "2' OR '1'='1"))
		if e.Status != export.Failed || e.Failure.Code != export.SourceRejected {
			t.Errorf("the export is %s, %+v", e.Status, e.Failure)
		}
		f.wantNothingLeft(t, e, 7)
	})
	t.Run("a record of before the scope", func(t *testing.T) {
		d, _ := catalog.Find("orders")
		d.Rows = dataset.RowScope{}
		e := f.export(t, d, export.Spec{Dataset: "orders"})
		if e.Status != export.Failed || e.Failure.Code != export.DatasetChanged || !strings.Contains(e.Failure.Message, "request it again") {
			t.Errorf("the export is %s, %+v", e.Status, e.Failure)
		}
	})
}

// A column that is gone is never taken for the row, which t stands for in the
// queries: that would show columns that nobody may have.
func TestRunner_columnNamedAsTheRow(t *testing.T) {
	url := servertest.Database(t)
	servertest.PSQL(t, url, "CREATE TABLE secrets (id integer PRIMARY KEY, secret text); INSERT INTO secrets VALUES (1, 'hush')")
	for _, guard := range []bool{false, true} {
		f := newFixture(t, url)
		d := dataset.Dataset{
			Name: "users", Relation: dataset.Relation{Schema: "public", Name: "secrets"}, Key: []string{"id"},
			Columns: []dataset.Column{{Name: "id"}, {Name: "renamed", Column: "t"}, {Name: "t"}},
		}
		f.Catalog = dataset.New(d)
		e := f.create(t)
		format := export.DefaultFormat()
		format.FormulaGuard = guard
		e.ID, e.Spec.Format, e.DatasetFingerprint = uuid.Must(uuid.NewV7()).String(), &format, d.Fingerprint()
		if err := f.Jobs.Create(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		e = f.run(t, e.ID)
		if e.Status != export.Failed || e.Failure.Code != export.SourceRejected {
			t.Errorf("status %s, failure %+v; the file: %s", e.Status, e.Failure, f.file(t, e))
		}
	}
}
