package dataset_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// filter makes a filter of strings; a leading # makes one a number.
func filter(name string, values ...string) dataset.GivenFilter {
	f := dataset.GivenFilter{Name: name, IsList: len(values) != 1}
	for _, v := range values {
		text, isNumber := strings.CutPrefix(v, "#")
		f.Values = append(f.Values, dataset.Value{Text: text, IsNumber: isNumber})
	}
	return f
}

// specOf returns the default catalog's spec of a request, and the problems of
// one that it refuses.
func specOf(r dataset.Request) (export.Spec, []export.FieldError) {
	spec, err := dataset.Default().Spec(r, dataset.Access{})
	if e, ok := errors.AsType[*export.Error](err); ok && e.Code == export.InvalidRequest {
		return spec, e.Fields
	} else if err != nil {
		panic(err)
	}
	return spec, nil
}

func users() dataset.Dataset {
	d, _ := dataset.Default().Find("users")
	return d
}

func TestCatalog_Spec(t *testing.T) {
	for _, test := range []struct {
		name    string
		request dataset.Request
		want    export.Spec
	}{
		{"everything", dataset.Request{}, export.Spec{}},
		{
			"lists are sorted, each value once",
			dataset.Request{Filters: []dataset.GivenFilter{filter("country_code", "US", "DE", "US"), filter("subscription_tier", "o'brien")}},
			export.Spec{Filters: map[string][]string{"country_code": {"DE", "US"}, "subscription_tier": {"o'brien"}}},
		},
		{
			"decimals are exact",
			dataset.Request{Filters: []dataset.GivenFilter{filter("lifetime_value_min", "#-0.0"), filter("lifetime_value_max", "00123456789012345678.0100")}},
			export.Spec{Filters: map[string][]string{"lifetime_value_min": {"0"}, "lifetime_value_max": {"123456789012345678.01"}}},
		},
		{
			"times are in UTC, a last day stays a day",
			dataset.Request{Filters: []dataset.GivenFilter{filter("signup_date_from", "2024-02-29"), filter("signup_date_to", "2024-12-31")}},
			export.Spec{Filters: map[string][]string{"signup_date_from": {"2024-02-29T00:00:00Z"}, "signup_date_to": {"2024-12-31"}}},
		},
		{
			"fractions and offsets",
			dataset.Request{Filters: []dataset.GivenFilter{filter("signup_date_from", "2024-01-01T00:30:00.120+01:00"), filter("signup_date_to", "2024-01-01T00:00:00.000001Z")}},
			export.Spec{Filters: map[string][]string{"signup_date_from": {"2023-12-31T23:30:00.12Z"}, "signup_date_to": {"2024-01-01T00:00:00.000001Z"}}},
		},
		{
			"one day",
			dataset.Request{Filters: []dataset.GivenFilter{filter("signup_date_from", "2024-01-01"), filter("signup_date_to", "2024-01-01")}},
			export.Spec{Filters: map[string][]string{"signup_date_from": {"2024-01-01T00:00:00Z"}, "signup_date_to": {"2024-01-01"}}},
		},
		{
			"one value",
			dataset.Request{Filters: []dataset.GivenFilter{filter("lifetime_value_min", "5"), filter("lifetime_value_max", "#5.0")}},
			export.Spec{Filters: map[string][]string{"lifetime_value_min": {"5"}, "lifetime_value_max": {"5"}}},
		},
		{"columns in the caller's order", dataset.Request{Columns: []string{"email", "id"}}, export.Spec{Columns: []string{"email", "id"}}},
		{
			"all columns are the default",
			dataset.Request{Columns: []string{"id", "name", "email", "signup_date", "country_code", "subscription_tier", "lifetime_value"}},
			export.Spec{},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.request.Dataset, test.want.Dataset = "users", "users"
			got, problems := specOf(test.request)
			if len(problems) > 0 {
				t.Fatalf("problems %v", problems)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCatalog_Spec_refuses(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = "US"
	}
	for _, test := range []struct {
		filter dataset.GivenFilter
		says   string
	}{
		{filter("country", "US"), "no filter"},
		{filter("country_code", "us"), "two capital letters"},
		{filter("country_code", "USA"), "two capital letters"},
		{filter("country_code", "US\n"), "two capital letters"},
		{filter("country_code", "#12"), "two capital letters"},
		{filter("country_code", "US", "' OR 1=1 --"), "two capital letters"},
		{filter("country_code", many...), "100 values"},
		{filter("country_code", []string{}...), "100 values"},
		{filter("subscription_tier", ""), "1 to 50 characters"},
		{filter("subscription_tier", strings.Repeat("ü", 51)), "1 to 50 characters"},
		{filter("subscription_tier", "a\x00b"), "1 to 50 characters"},
		{filter("lifetime_value_min", "#1e400"), "without an exponent"},
		{filter("lifetime_value_min", "#1e2"), "without an exponent"},
		{filter("lifetime_value_min", strings.Repeat("9", 40)), "30 digits"},
		{filter("lifetime_value_min", "0."+strings.Repeat("1", 31)), "30 digits"},
		{filter("lifetime_value_min", "NaN"), "decimal number"},
		{filter("lifetime_value_min", "1."), "decimal number"},
		{filter("lifetime_value_min", " 1"), "decimal number"},
		{filter("lifetime_value_min", "1", "2"), "not a list"},
		{filter("signup_date_from", "2024-02-30"), "must be a date"},
		{filter("signup_date_from", "#20240101"), "must be a date"},
		{filter("signup_date_from", "2024-01-01 10:00"), "must be a date"},
		{filter("signup_date_from", "2024-01-01T10:00:00"), "must be a date"},
		{filter("signup_date_from", "2024-01-01T10:00:00.1234567Z"), "must be a date"},
		{filter("signup_date_from", "0000-01-01"), "must be a date"},
		{filter("signup_date_to", "9999-12-31"), "must be a date"},
		{filter("signup_date_to", "infinity"), "must be a date"},
	} {
		_, problems := specOf(dataset.Request{Dataset: "users", Filters: []dataset.GivenFilter{test.filter}})
		if len(problems) != 1 || problems[0].Field != "filters."+test.filter.Name || !strings.Contains(problems[0].Message, test.says) {
			t.Errorf("%+v: problems %v, want one that says %q", test.filter, problems, test.says)
		}
	}
}

func TestCatalog_Spec_refusesEmptyRanges(t *testing.T) {
	for _, test := range []struct{ low, high dataset.GivenFilter }{
		{filter("lifetime_value_min", "100.01"), filter("lifetime_value_max", "#100")},
		{filter("lifetime_value_min", "9"), filter("lifetime_value_max", "-10")},
		{filter("signup_date_from", "2024-01-02"), filter("signup_date_to", "2024-01-01")},
		{filter("signup_date_from", "2024-01-01T10:00:00.5Z"), filter("signup_date_to", "2024-01-01T10:00:00Z")},
	} {
		_, problems := specOf(dataset.Request{Dataset: "users", Filters: []dataset.GivenFilter{test.high, test.low}})
		want := []export.FieldError{{Field: "filters." + test.high.Name, Message: "is less than " + test.low.Name}}
		if diff := cmp.Diff(want, problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
}

// A caller learns everything at once.
func TestCatalog_Spec_namesEveryProblem(t *testing.T) {
	_, problems := specOf(dataset.Request{
		Dataset: "users", Filters: []dataset.GivenFilter{filter("country_code", "x"), filter("nope", "1")},
		Columns: []string{"id", "id", `x"; DROP TABLE users`},
	})
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field)
	}
	if diff := cmp.Diff([]string{"filters.country_code", "filters.nope", "columns", "columns"}, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if _, problems := specOf(dataset.Request{Dataset: "orders"}); len(problems) != 1 || problems[0].Field != "dataset" {
		t.Errorf("unknown dataset: problems %v", problems)
	}
}

func TestCatalog_Resolve(t *testing.T) {
	catalog := dataset.Default()
	fingerprint := users().Fingerprint()
	got, err := catalog.Resolve(export.Spec{
		Dataset: "users", Columns: []string{"email"},
		Filters: map[string][]string{"signup_date_to": {"2024-12-31"}, "country_code": {"DE", "US"}},
	}, fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	want := dataset.Selection{
		Relation: dataset.Relation{Schema: "public", Name: "users"}, Key: []string{"id"}, Columns: []dataset.Column{{Name: "email", Type: "varchar(255)"}},
		Format: export.DefaultFormat(),
		Predicates: []dataset.Predicate{
			{Column: "country_code", Operator: dataset.In, Type: dataset.Text, Values: []string{"DE", "US"}},
			{Column: "signup_date", Operator: dataset.Before, Type: dataset.Timestamp, Values: []string{"2025-01-01T00:00:00Z"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("selection (-want +got):\n%s", diff)
	}
	for _, spec := range []export.Spec{{Dataset: "users"}, {Dataset: "orders"}} {
		if _, err := catalog.Resolve(spec, "another"); export.CodeOf(err) != export.DatasetChanged {
			t.Errorf("%s of another definition: error %v, want code %s", spec.Dataset, err, export.DatasetChanged)
		}
	}
}

func TestDataset_Fingerprint(t *testing.T) {
	base := users()
	if again := users(); base.Fingerprint() != again.Fingerprint() {
		t.Error("equal definitions have different fingerprints")
	}
	for name, change := range map[string]func(*dataset.Dataset){
		"relation": func(d *dataset.Dataset) { d.Relation.Name = "people" },
		"key":      func(d *dataset.Dataset) { d.Key = []string{"email"} },
		"columns":  func(d *dataset.Dataset) { d.Columns = d.Columns[1:] },
		"filters":  func(d *dataset.Dataset) { d.Filters = d.Filters[1:] },
		"order":    func(d *dataset.Dataset) { d.Order = export.ByKey },
		"rows":     func(d *dataset.Dataset) { d.Rows = dataset.RowScope{Column: "country_code", Claim: "country"} },
		"claim":    func(d *dataset.Dataset) { d.Rows.Claim = "country" },
		"source": func(d *dataset.Dataset) {
			d.Columns = append([]dataset.Column{{Name: "id", Column: "x"}}, d.Columns[1:]...)
		},
		"filter's column": func(d *dataset.Dataset) {
			d.Filters = slices.Clone(d.Filters)
			d.Filters[0].Column = "subscription_tier"
		},
	} {
		changed := base
		change(&changed)
		if changed.Fingerprint() == base.Fingerprint() {
			t.Errorf("other %s have the same fingerprint", name)
		}
	}
	for name, change := range map[string]func(*dataset.Dataset){
		"description": func(d *dataset.Dataset) { d.Description = "another" },
		"requires":    func(d *dataset.Dataset) { d.Requires = "x" },
		"column's":    func(d *dataset.Dataset) { d.Columns = slices.Clone(d.Columns); d.Columns[0].Requires = "x" },
		"limits":      func(d *dataset.Dataset) { d.Limits.Rows = 5 },
	} {
		changed := base
		change(&changed)
		if changed.Fingerprint() != base.Fingerprint() {
			t.Errorf("another %s makes another fingerprint", name)
		}
	}
}
