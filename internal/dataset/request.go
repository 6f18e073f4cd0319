package dataset

import (
	"cmp"
	"fmt"
	"slices"

	"csvexport/internal/export"
)

// Request is what a caller asks for.
type Request struct {
	Dataset string
	Filters []GivenFilter
	Columns []string // nil for all that the caller may use
	// Format is nil for the default.
	Format *export.Format
	// FileName is nil for a name of the dataset and the time.
	FileName *string
	// MaxRowsPerFile is nil for one file.
	MaxRowsPerFile *int64
	// Destination is nil for the service's own bucket.
	Destination *GivenDestination
}

// Spec checks a request of a caller with the given rights and returns its
// normal form. The error is an *export.Error: InvalidRequest, with every
// problem that the request has, or Forbidden.
//
// What the caller's rights make of the request is in the spec: the rows of his
// claim, and the columns by name if he may not use all.
func (c *Catalog) Spec(r Request, a Access) (export.Spec, error) {
	d, ok := c.Find(r.Dataset)
	if !ok {
		return export.Spec{}, invalid([]export.FieldError{{Field: "dataset", Message: "there is no dataset of this name"}})
	}
	if err := d.refuses(a); err != nil {
		return export.Spec{}, err
	}
	filters, problems := d.normalize(r.Filters)
	columns, more := d.normalizeColumns(r.Columns)
	problems = append(problems, more...)
	format, more := normalizeFormat(r.Format)
	problems = append(problems, more...)
	fileName, more := normalizeFileName(r.FileName, format)
	problems = append(problems, more...)
	if n := r.MaxRowsPerFile; n != nil && (*n < export.MinRowsPerFile || *n > export.MaxRowsPerFile) {
		problems = append(problems, export.FieldError{Field: "maxRowsPerFile", Message: fmt.Sprintf("must be a whole number from %d to %d", export.MinRowsPerFile, export.MaxRowsPerFile)})
	}
	destination, more := c.normalizeDestination(r.Destination)
	problems = append(problems, more...)
	if r.MaxRowsPerFile != nil && len(fileName) > maxSplitNameBytes {
		problems = append(problems, export.FieldError{Field: "fileName", Message: fmt.Sprintf("must have at most %d bytes in UTF-8 where maxRowsPerFile is given: the files' names are longer", maxSplitNameBytes)})
	}
	if len(problems) > 0 {
		return export.Spec{}, invalid(problems)
	}
	if err := cmp.Or(d.permit(filters, r.Columns, a), c.permitDestination(destination, a)); err != nil {
		return export.Spec{}, err
	}
	spec := export.Spec{Dataset: d.Name, Filters: filters, Columns: d.columnsFor(columns, a), Format: format, FileName: fileName, Destination: destination}
	if r.MaxRowsPerFile != nil {
		spec.MaxRowsPerFile = *r.MaxRowsPerFile
	}
	if d.Rows != (RowScope{}) {
		spec.Rows = a.values(d.Rows.Claim)
	}
	return spec, nil
}

// Renew makes a spec anew: the same request, for the dataset of that name as
// it is now and with the caller's present rights. The errors are Spec's.
func (c *Catalog) Renew(s export.Spec, a Access) (export.Spec, error) {
	d, _ := c.Find(s.Dataset) // Spec says so if there is none
	r := Request{Dataset: s.Dataset, Columns: s.Columns, Format: s.Format}
	if s.FileName != "" {
		r.FileName = &s.FileName
	}
	if s.MaxRowsPerFile > 0 {
		r.MaxRowsPerFile = &s.MaxRowsPerFile
	}
	if s.Destination != nil {
		r.Destination = &GivenDestination{Name: s.Destination.Name, Prefix: s.Destination.Prefix}
	}
	for name, values := range s.Filters {
		g := GivenFilter{Name: name, IsList: len(values) != 1}
		i := slices.IndexFunc(d.Filters, func(f Filter) bool { return f.Name == name })
		for _, v := range values {
			g.Values = append(g.Values, Value{Text: v, IsBoolean: i >= 0 && d.Filters[i].takesBooleans()})
		}
		r.Filters = append(r.Filters, g)
	}
	return c.Spec(r, a)
}

func invalid(problems []export.FieldError) error {
	return &export.Error{Code: export.InvalidRequest, Message: "The request isn't valid; see errors.", Fields: problems}
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

// columnsFor names the columns for a caller who asks for all of them, but may
// not use all: the spec must not depend on who resolves it.
func (d Dataset) columnsFor(names []string, a Access) []string {
	if names != nil {
		return names
	}
	for _, c := range d.Columns {
		if a.has(c.Requires) {
			names = append(names, c.Name)
		}
	}
	if len(names) == len(d.Columns) {
		return nil
	}
	return names
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
// the definition, or that of the destination, is another now. Who may use which columns, and the limits,
// may have changed.
func (c *Catalog) Resolve(spec export.Spec, fingerprint string) (Selection, error) {
	d, ok := c.Find(spec.Dataset)
	scoped := d.Rows != RowScope{}
	// The fingerprint has the row scope. A record without the rows of one is
	// still never all rows.
	if !ok || d.Fingerprint() != fingerprint || scoped != (len(spec.Rows) > 0) {
		return Selection{}, export.Errorf(export.DatasetChanged, "The dataset's definition changed after the export was requested. Please request it again.")
	}
	if spec.Destination != nil && !c.resolvesTo(*spec.Destination) {
		return Selection{}, export.Errorf(export.DatasetChanged, "The destination %s was defined anew after the export was requested. Please request it again.", spec.Destination.Name)
	}
	sel := Selection{
		Relation: d.Relation, Columns: d.Columns, Key: d.Key, Order: d.Order, Format: spec.FormatOrDefault(), Limits: d.Limits,
	}
	if spec.Columns != nil {
		sel.Columns = make([]Column, len(spec.Columns))
		for i, name := range spec.Columns {
			sel.Columns[i] = d.Columns[slices.Index(d.columnNames(), name)]
		}
	}
	if scoped {
		sel.Predicates = append(sel.Predicates, Predicate{Column: d.Rows.Column, Operator: In, Values: spec.Rows})
	}
	for _, f := range d.Filters {
		if values, given := spec.Filters[f.Name]; given {
			sel.Predicates = append(sel.Predicates, f.predicate(values))
		}
	}
	return sel, nil
}
