package dataset_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// guarded is a catalog with every kind of right.
var guarded = func() *dataset.Catalog {
	c, err := dataset.Parse("guarded.yaml", []byte(`
datasets:
  - {name: open, relation: a.open, columns: [id]}
  - name: people
    relation: a.people
    columns: [id, {name: mail, column: email, requires: pii}, name, {name: salary, requires: pay}]
    requires: exports.people
    rows: {column: tenant, claim: org}
    filters:
      - {column: email, type: text, by: [prefix]}
      - {column: tenant, type: text, by: [in]}
      - {column: salary, type: integer, by: [min]}
  - {name: secret, relation: a.secret, columns: [{name: x, requires: pii}, {name: y, requires: pay}, {name: plain, column: y}]}
  - {name: shut, relation: a.shut, columns: [{name: x, requires: nobody}]}
`))
	if err != nil {
		panic(err)
	}
	return c
}()

func access(scopes string, orgs ...string) dataset.Access {
	return dataset.Access{Scopes: strings.Fields(scopes), Claims: map[string][]string{"org": orgs, "sub": {"anna"}}}
}

func TestCatalog_Visible(t *testing.T) {
	for _, test := range []struct {
		access dataset.Access
		want   string // datasets with their columns and filters
	}{
		{dataset.Access{}, "open(id;) secret(plain;)"},
		{access("exports.people"), "open(id;) secret(plain;)"}, // the claim has no value
		{access("exports.people", "", "a\x00"), "open(id;) secret(plain;)"},
		{access("exports.people", "x"), "open(id;) people(id name;tenant) secret(plain;)"},
		{access("pii", "x"), "open(id;) secret(x plain;)"},
		{access("exports.people pii pay nobody", "x"), "open(id;) people(id mail name salary;email_prefix tenant salary_min) secret(x y plain;) shut(x;)"},
	} {
		var got []string
		for _, d := range guarded.Visible(test.access) {
			var columns, filters []string
			for _, c := range d.Columns {
				columns = append(columns, c.Name)
			}
			for _, f := range d.Filters {
				filters = append(filters, f.Name)
			}
			got = append(got, d.Name+"("+strings.Join(columns, " ")+";"+strings.Join(filters, " ")+")")
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%v sees %s, want %s", test.access, strings.Join(got, " "), test.want)
		}
	}
}

func TestCatalog_Spec_access(t *testing.T) {
	const visible = "id,name"
	for _, test := range []struct {
		name    string
		access  dataset.Access
		columns string
		filters []dataset.GivenFilter
		want    export.Spec
	}{
		{"only some columns, which are named", access("exports.people", "x"), "", nil, export.Spec{Columns: []string{"id", "name"}, Rows: []string{"x"}}},
		{"the same by name", access("exports.people", "x"), visible, nil, export.Spec{Columns: []string{"id", "name"}, Rows: []string{"x"}}},
		{"all columns", access("exports.people pii pay", "x"), "", nil, export.Spec{Rows: []string{"x"}}},
		{"all by name", access("exports.people pii pay", "x"), "id,mail,name,salary", nil, export.Spec{Rows: []string{"x"}}},
		{"several values, sorted and each once", access("exports.people pii pay", "y", "", "x", "y"), "", nil, export.Spec{Rows: []string{"x", "y"}}},
		{
			"a filter of the scope's column doesn't change the scope", access("exports.people pii pay", "x"), "",
			[]dataset.GivenFilter{filter("tenant", "x", "y")},
			export.Spec{Filters: map[string][]string{"tenant": {"x", "y"}}, Rows: []string{"x"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := dataset.Request{Dataset: "people", Filters: test.filters}
			if test.columns != "" {
				r.Columns = strings.Split(test.columns, ",")
			}
			test.want.Dataset = "people"
			got, err := guarded.Spec(r, test.access)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("spec (-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestCatalog_Spec_forbids(t *testing.T) {
	all := access("exports.people pii pay", "x")
	for _, test := range []struct {
		name    string
		access  dataset.Access
		request dataset.Request
		says    string
	}{
		{"no scope for the dataset", access("pii pay", "x"), dataset.Request{Dataset: "people"}, `scope "exports.people"`},
		{"a scope that is only part of it", access("exports people exports.people2", "x"), dataset.Request{Dataset: "people"}, `scope "exports.people"`},
		{"what is wrong isn't told to strangers", access("", "x"), dataset.Request{Dataset: "people", Columns: []string{"nope"}}, "scope"},
		{"no claim", dataset.Access{Scopes: all.Scopes}, dataset.Request{Dataset: "people"}, `claim "org"`},
		{"an empty claim", access("exports.people", ""), dataset.Request{Dataset: "people"}, `claim "org"`},
		{"no column", access("exports.people"), dataset.Request{Dataset: "shut"}, "Each column"},
		{"a named column", access("exports.people pay", "x"), dataset.Request{Dataset: "people", Columns: []string{"id", "mail"}}, `mail needs the scope "pii"`},
		{"all columns by name", access("exports.people", "x"), dataset.Request{Dataset: "people", Columns: []string{"id", "mail", "name", "salary"}}, "needs the scope"},
		{
			"a filter of a column that isn't theirs", access("exports.people pay", "x"),
			dataset.Request{Dataset: "people", Filters: []dataset.GivenFilter{filter("email_prefix", "a")}},
			`email_prefix needs the scope "pii"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := guarded.Spec(test.request, test.access)
			if export.CodeOf(err) != export.Forbidden || !strings.Contains(export.MessageOf(err), test.says) {
				t.Errorf("error %v (%s), want %s that says %q", err, export.CodeOf(err), export.Forbidden, test.says)
			}
		})
	}
	if _, err := guarded.Spec(dataset.Request{Dataset: "people", Columns: []string{"mail"}}, all); err != nil {
		t.Errorf("with all rights: %v", err)
	}
}

// Whose rows a file holds is in its spec, and in its selection.
func TestCatalog_Resolve_rows(t *testing.T) {
	d, _ := guarded.Find("people")
	spec, err := guarded.Spec(dataset.Request{Dataset: "people", Filters: []dataset.GivenFilter{filter("tenant", "y")}}, access("exports.people", "x", "it's"))
	if err != nil {
		t.Fatal(err)
	}
	sel, err := guarded.Resolve(spec, d.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	want := []dataset.Predicate{
		{Column: "tenant", Operator: dataset.In, Values: []string{"it's", "x"}},
		{Column: "tenant", Operator: dataset.In, Type: dataset.Text, Values: []string{"y"}},
	}
	if diff := cmp.Diff(want, sel.Predicates); diff != "" {
		t.Errorf("predicates (-want +got):\n%s", diff)
	}

	// A record of before the row scope, or of another: never all rows.
	before := d
	before.Rows = dataset.RowScope{}
	unscoped := spec
	unscoped.Rows = nil
	for name, test := range map[string]struct {
		spec        export.Spec
		fingerprint string
		catalog     *dataset.Catalog
	}{
		"the scope is new":                  {unscoped, before.Fingerprint(), guarded},
		"a spec without its rows":           {unscoped, d.Fingerprint(), guarded},
		"the scope is gone":                 {spec, d.Fingerprint(), dataset.New(before)},
		"rows for a dataset without scopes": {spec, before.Fingerprint(), dataset.New(before)},
	} {
		if _, err := test.catalog.Resolve(test.spec, test.fingerprint); export.CodeOf(err) != export.DatasetChanged {
			t.Errorf("%s: error %v, want %s", name, err, export.DatasetChanged)
		}
	}
}

func TestCatalog_Renew(t *testing.T) {
	rich := access("exports.people pii pay", "x", "y")
	spec, err := guarded.Spec(dataset.Request{
		Dataset: "people", Columns: []string{"mail", "id"}, Filters: []dataset.GivenFilter{filter("tenant", "x", "z"), filter("salary_min", "#007")},
		Format: plainFormat(), FileName: new("a.csv"),
	}, rich)
	if err != nil {
		t.Fatal(err)
	}
	again, err := guarded.Renew(spec, rich)
	if diff := cmp.Diff(spec, again); err != nil || diff != "" {
		t.Errorf("renewed with the same rights (-want +got):\n%s%v", diff, err)
	}
	spec.Rows = []string{"y"}
	again, err = guarded.Renew(spec, access("exports.people pii pay", "y"))
	if diff := cmp.Diff(spec, again); err != nil || diff != "" {
		t.Errorf("renewed with other rows (-want +got):\n%s%v", diff, err)
	}
	if _, err := guarded.Renew(spec, access("exports.people", "y")); export.CodeOf(err) != export.Forbidden {
		t.Errorf("renewed without a right: error %v, want %s", err, export.Forbidden)
	}
	if _, err := dataset.Default().Renew(spec, rich); export.CodeOf(err) != export.InvalidRequest {
		t.Errorf("renewed where the dataset is gone: error %v, want %s", err, export.InvalidRequest)
	}
}

// Each type's values: what they are in normal form, and what is none. A spec
// of them, renewed, is the same.
func TestCatalog_Spec_types(t *testing.T) {
	c, err := dataset.Parse("types.yaml", []byte(`
datasets:
  - name: t
    relation: a.t
    columns: [id]
    filters:
      - {column: s, type: text, by: [equals, prefix, is_null]}
      - {column: i, type: integer, by: [in, min, max]}
      - {column: b, type: boolean, by: [equals, is_null]}
      - {column: u, type: uuid, by: [in]}
      - {column: d, type: date, by: [equals, from, to]}
      - {column: e, type: decimal, by: [equals]}
`))
	if err != nil {
		t.Fatal(err)
	}
	boolean := func(name, value string) dataset.GivenFilter {
		return dataset.GivenFilter{Name: name, Values: []dataset.Value{{Text: value, IsBoolean: true}}}
	}
	for _, test := range []struct {
		filter dataset.GivenFilter
		want   string // the values, or what is said, after a !
	}{
		{filter("s", ""), ""},
		{filter("s", "a%_\\'"), "a%_\\'"},
		{filter("s", "#1"), "!must be a text"},
		{filter("s", "a", "b"), "!takes one value"},
		{boolean("s", "true"), "!must be a text"},
		{filter("s_prefix", "50%"), "50%"},
		{filter("s_prefix", ""), "!one or more characters"},
		{filter("s_prefix", "a", "b"), "!takes one value"},
		{boolean("s_is_null", "true"), "true"},
		{boolean("s_is_null", "false"), "false"},
		{filter("s_is_null", "true"), "!must be true or false"},
		{filter("i", "#12", "012", "-3", "-0"), "-3,0,12"},
		{filter("i_min", "9223372036854775807"), "9223372036854775807"},
		{filter("i_max", "#-9223372036854775808"), "-9223372036854775808"},
		{filter("i", "9223372036854775808"), "!64 bits"},
		{filter("i", "#1.0"), "!whole number"},
		{filter("i", "#1e3"), "!whole number"},
		{filter("i", "+1"), "!whole number"},
		{filter("i", "1_000"), "!whole number"},
		{filter("i", ""), "!whole number"},
		{boolean("i", "true"), "!whole number"},
		{boolean("b", "true"), "true"},
		{filter("b", "true"), "!must be true or false"},
		{filter("b", "#1"), "!must be true or false"},
		{filter("u", "0B5F3C1E-8a4d-4f6b-9c2e-7d1a5e8f9b30", "0b5f3c1e-8a4d-4f6b-9c2e-7d1a5e8f9b30"), "0b5f3c1e-8a4d-4f6b-9c2e-7d1a5e8f9b30"},
		{filter("u", "{0b5f3c1e-8a4d-4f6b-9c2e-7d1a5e8f9b30}"), "!UUID"},
		{filter("u", "0b5f3c1e8a4d4f6b9c2e7d1a5e8f9b30"), "!UUID"},
		{filter("d", "2024-02-29"), "2024-02-29"},
		{filter("d_to", "2024-02-29"), "2024-02-29"},
		{filter("d_to", "9999-12-31"), "9999-12-31"},
		{filter("d_from", "2024-02-29T00:00:00Z"), "!must be a date"},
		{filter("d", "2023-02-29"), "!must be a date"},
		{filter("e", "#1.50"), "1.5"},
	} {
		spec, err := c.Spec(dataset.Request{Dataset: "t", Filters: []dataset.GivenFilter{test.filter}}, dataset.Access{})
		says, wrong := strings.CutPrefix(test.want, "!")
		if wrong {
			e, ok := errors.AsType[*export.Error](err)
			if !ok || e.Code != export.InvalidRequest || len(e.Fields) != 1 || !strings.Contains(e.Fields[0].Message, says) {
				t.Errorf("%+v: error %v, want one that says %q", test.filter, err, says)
			}
			continue
		}
		if got := strings.Join(spec.Filters[test.filter.Name], ","); err != nil || got != test.want {
			t.Errorf("%+v: values %q (%v), want %q", test.filter, got, err, test.want)
		}
		if again, err := c.Renew(spec, dataset.Access{}); err != nil || !cmp.Equal(spec, again) {
			t.Errorf("%+v: renewed: %+v (%v), want %+v", test.filter, again, err, spec)
		}
	}
	for _, pair := range [][2]dataset.GivenFilter{
		{filter("i_min", "10"), filter("i_max", "9")},
		{filter("d_from", "2024-01-02"), filter("d_to", "2024-01-01")},
	} {
		_, err := c.Spec(dataset.Request{Dataset: "t", Filters: pair[:]}, dataset.Access{})
		if e, ok := errors.AsType[*export.Error](err); !ok || len(e.Fields) != 1 || e.Fields[0].Message != "is less than "+pair[0].Name {
			t.Errorf("%v: error %v", pair, err)
		}
	}
}
