// Package dataset is the catalog of what can be exported. It turns a spec
// into a selection of plain values - relation, columns, key - and knows no
// SQL: that is package source's.
package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"csvexport/internal/export"
)

// Dataset is one thing that can be exported: a relation, and what of it.
type Dataset struct {
	Name     string   `json:"name"`
	Relation Relation `json:"relation"`
	// Key is a unique, NOT NULL key: the order of the rows in the file.
	Key     []string `json:"key"`
	Columns []Column `json:"columns"`
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
	Relation Relation
	Columns  []Column // in the file's order
	Key      []string // the rows' order
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
	}
	return Catalog{users.Name: users}
}

// Resolve returns the dataset that the spec names and what the spec selects
// of it. The error is an InvalidRequest that names the field.
func (c Catalog) Resolve(spec export.Spec) (Dataset, Selection, error) {
	d, ok := c[spec.Dataset]
	if !ok {
		return Dataset{}, Selection{}, &export.Error{
			Code:    export.InvalidRequest,
			Message: "The request names a dataset that doesn't exist.",
			Fields:  []export.FieldError{{Field: "dataset", Message: "no dataset has this name"}},
		}
	}
	return d, Selection{Relation: d.Relation, Columns: d.Columns, Key: d.Key}, nil
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
