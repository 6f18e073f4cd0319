// Package dataset is the catalog of what can be exported, and by whom. It
// checks what a caller asks for and brings it into normal form, and it turns a
// spec into a selection of plain values: relation, columns, predicates, key. It
// knows no SQL: that is package source's.
package dataset

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"csvexport/internal/export"
)

// Dataset is one thing that can be exported: a relation, and what of it.
type Dataset struct {
	Name        string
	Description string
	Relation    Relation
	// Key is a unique, NOT NULL key of the relation's columns: the order of the
	// rows in the file. Empty for none.
	Key []string
	// Order is export.ByKey or export.Physical; empty for the one that is
	// faster, by key if that isn't known.
	Order   export.Order
	Columns []Column // in the file's order
	Filters []Filter
	// Requires is the scope that a caller needs for the dataset; empty for none.
	Requires string
	Rows     RowScope
	Limits   Limits
}

// Relation names a table or view in the database.
type Relation struct {
	Schema string
	Name   string
}

// Column is a column of the file.
type Column struct {
	Name   string // in the file
	Column string // of the relation; empty for the same
	// Type is the database's, for callers to read; empty where the catalog
	// doesn't tell. What is in the file doesn't depend on it.
	Type string
	// Requires is the scope that a caller needs for the column; empty for none.
	Requires string
}

// Source is the name of the relation's column.
func (c Column) Source() string {
	if c.Column == "" {
		return c.Name
	}
	return c.Column
}

// RowScope leaves each caller only the rows whose Column equals a value of
// the caller's Claim. Its zero value leaves everybody all rows.
type RowScope struct {
	Column string // of the relation
	Claim  string
}

// Limits bound one export; 0 is no limit. They aren't part of what a file is,
// so those of the time when an export runs count.
type Limits struct {
	Rows  int64
	Bytes int64         // of the file as it is stored
	Age   time.Duration // of the snapshot while rows are read
}

// Selection is what a spec asks of a dataset, resolved: everything that is
// needed to read the rows.
type Selection struct {
	Relation   Relation
	Columns    []Column    // in the file's order
	Predicates []Predicate // all of which a row must meet
	Key        []string    // the rows' order
	// Order is export.ByKey or export.Physical; empty for the one that is faster.
	Order  export.Order
	Format export.Format
	Limits Limits
}

// Catalog holds one or more datasets, and the destinations that files may go
// to. It doesn't change.
type Catalog struct {
	datasets     []Dataset
	destinations []Destination
}

// New returns a catalog of datasets that are known to be right; Parse is for
// those that a person wrote. It panics if there are none, or two of one name.
func New(datasets ...Dataset) *Catalog {
	c := &Catalog{datasets: datasets}
	if len(datasets) == 0 {
		panic("a catalog of no datasets")
	}
	for i, d := range datasets {
		if slices.IndexFunc(datasets, func(other Dataset) bool { return other.Name == d.Name }) != i {
			panic("two datasets of the name " + d.Name)
		}
	}
	return c
}

//go:embed default.yaml
var defaultText []byte

var defaultCatalog = sync.OnceValue(func() *Catalog {
	c, err := Parse("default.yaml", defaultText)
	if err != nil { // the tests read it
		panic(err)
	}
	return c
})

// Default is the catalog that the service comes with.
func Default() *Catalog { return defaultCatalog() }

// Datasets returns all datasets in the catalog's order. A request that names
// none is for the first.
func (c *Catalog) Datasets() []Dataset { return slices.Clone(c.datasets) }

// Find returns the dataset of that name.
func (c *Catalog) Find(name string) (Dataset, bool) {
	i := slices.IndexFunc(c.datasets, func(d Dataset) bool { return d.Name == name })
	if i < 0 {
		return Dataset{}, false
	}
	return c.datasets[i], true
}

// Fingerprint identifies the dataset's definition: it changes when anything
// changes that could change a file, or whose rows are in it.
func (d Dataset) Fingerprint() string {
	type column struct{ Name, Source string }
	type filter struct {
		Name, Column string
		Operator     Operator
		Type         Type
		MaxLength    int
		Pattern      string
	}
	columns := make([]column, len(d.Columns))
	for i, c := range d.Columns {
		columns[i] = column{c.Name, c.Source()}
	}
	filters := make([]filter, len(d.Filters))
	for i, f := range d.Filters {
		filters[i] = filter{f.Name, f.Column, f.Operator, f.Type, f.MaxLength, f.pattern()}
	}
	b, err := json.Marshal([]any{d.Name, d.Relation, d.Key, d.Order, columns, filters, d.Rows})
	if err != nil { // strings and numbers always encode
		panic(fmt.Sprintf("fingerprint of %s: %v", d.Name, err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
