// Package dataset is the catalog of what can be exported. It checks what a
// caller asks for and brings it into normal form, and it turns a spec into a
// selection of plain values: relation, columns, predicates, key. It knows no
// SQL: that is package source's.
package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"csvexport/internal/export"
)

// Dataset is one thing that can be exported: a relation, and what of it.
type Dataset struct {
	Name     string   `json:"name"`
	Relation Relation `json:"relation"`
	// Key is a unique, NOT NULL key: the order of the rows in the file.
	Key     []string `json:"key"`
	Columns []Column `json:"columns"`
	Filters []Filter `json:"filters"`
}

// Relation names a table or view in the database.
type Relation struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// Column is a column of the relation under the name that it has in the file.
type Column struct {
	Name string `json:"name"`
}

// Selection is what a spec asks of a dataset, resolved: everything that is
// needed to read the rows.
type Selection struct {
	Relation   Relation
	Columns    []Column    // in the file's order
	Predicates []Predicate // all of which a row must meet
	Key        []string    // the rows' order
	Format     export.Format
}

// Catalog holds the datasets by name.
type Catalog map[string]Dataset

// Default is the catalog that the service comes with.
func Default() Catalog {
	users := Dataset{
		Name:     "users",
		Relation: Relation{Schema: "public", Name: "users"},
		Key:      []string{"id"},
		Columns: []Column{
			{"id"},
			{"name"},
			{"email"},
			{"signup_date"},
			{"country_code"},
			{"subscription_tier"},
			{"lifetime_value"},
		},
		Filters: []Filter{
			{Name: "country_code", Column: "country_code", Operator: In, Type: Text, Pattern: "^[A-Z]{2}$", Hint: "two capital letters"},
			{Name: "subscription_tier", Column: "subscription_tier", Operator: In, Type: Text, MaxLength: 50},
			{Name: "lifetime_value_min", Column: "lifetime_value", Operator: AtLeast, Type: Decimal},
			{Name: "lifetime_value_max", Column: "lifetime_value", Operator: AtMost, Type: Decimal},
			{Name: "signup_date_from", Column: "signup_date", Operator: AtLeast, Type: Timestamp},
			{Name: "signup_date_to", Column: "signup_date", Operator: AtMost, Type: Timestamp},
		},
	}
	return Catalog{users.Name: users}
}

// Request is what a caller asks for.
type Request struct {
	Dataset string
	Filters []GivenFilter
	Columns []string // nil for all
	// Format is nil for the default.
	Format *export.Format
	// FileName is nil for a name of the dataset and the time.
	FileName *string
}

// Spec checks a request and returns its normal form, or every problem that it
// has.
func (c Catalog) Spec(r Request) (export.Spec, []export.FieldError) {
	d, ok := c[r.Dataset]
	if !ok {
		return export.Spec{}, []export.FieldError{{Field: "dataset", Message: "there is no dataset of this name"}}
	}
	filters, problems := d.normalize(r.Filters)
	columns, more := d.normalizeColumns(r.Columns)
	problems = append(problems, more...)
	format, more := normalizeFormat(r.Format)
	problems = append(problems, more...)
	fileName, more := normalizeFileName(r.FileName, format)
	return export.Spec{Dataset: d.Name, Filters: filters, Columns: columns, Format: format, FileName: fileName}, append(problems, more...)
}

// normalizeColumns checks the names of columns. All of them in the dataset's
// order are the same as none.
func (d Dataset) normalizeColumns(names []string) ([]string, []export.FieldError) {
	var problems []export.FieldError
	for i, name := range names {
		switch {
		case !slices.Contains(d.columnNames(), name):
			problems = append(problems, export.FieldError{Field: "columns", Message: "there is no column " + quote(name)})
		case slices.Contains(names[:i], name):
			problems = append(problems, export.FieldError{Field: "columns", Message: quote(name) + " is named twice"})
		}
	}
	if slices.Equal(names, d.columnNames()) {
		return nil, nil
	}
	return names, problems
}

func (d Dataset) columnNames() []string {
	names := make([]string, len(d.Columns))
	for i, c := range d.Columns {
		names[i] = c.Name
	}
	return names
}

// Resolve returns what a spec selects. It was right when it was made, for the
// dataset's definition of that fingerprint: the error is DatasetChanged when
// the definition is another now.
func (c Catalog) Resolve(spec export.Spec, fingerprint string) (Selection, error) {
	d, ok := c[spec.Dataset]
	if !ok || d.Fingerprint() != fingerprint {
		return Selection{}, export.Errorf(export.DatasetChanged, "The dataset's definition changed after the export was requested. Please request it again.")
	}
	sel := Selection{Relation: d.Relation, Columns: d.Columns, Key: d.Key, Format: spec.FormatOrDefault()}
	if spec.Columns != nil {
		sel.Columns = make([]Column, len(spec.Columns))
		for i, name := range spec.Columns {
			sel.Columns[i] = d.Columns[slices.Index(d.columnNames(), name)]
		}
	}
	for _, f := range d.Filters {
		if values, given := spec.Filters[f.Name]; given {
			sel.Predicates = append(sel.Predicates, f.predicate(values))
		}
	}
	return sel, nil
}

// Fingerprint identifies the dataset's definition: it changes when anything
// changes that could change a file.
func (d Dataset) Fingerprint() string {
	b, err := json.Marshal(d)
	if err != nil { // strings and slices of strings always encode
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
