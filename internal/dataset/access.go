package dataset

import (
	"slices"
	"strings"

	"csvexport/internal/export"
)

// Access is what a caller's verified token says of his rights. Its zero value
// is a caller without any.
type Access struct {
	Scopes []string            // of the token
	Claims map[string][]string // verified claims by name, each as a list of texts
}

// has reports whether the caller has a scope; everybody has the empty one.
func (a Access) has(scope string) bool { return scope == "" || slices.Contains(a.Scopes, scope) }

// values are the claim's, sorted and each once, but for those that no column's
// value can be meant by.
func (a Access) values(claim string) []string {
	values := slices.DeleteFunc(slices.Clone(a.Claims[claim]), func(v string) bool {
		return v == "" || strings.ContainsRune(v, 0)
	})
	slices.Sort(values)
	return slices.Compact(values)
}

// Visible returns the datasets that the caller may use, each without the
// columns and filters that he may not use.
func (c *Catalog) Visible(a Access) []Dataset {
	var visible []Dataset
	for _, d := range c.datasets {
		if d.refuses(a) != nil {
			continue
		}
		seen := d
		seen.Columns = slices.DeleteFunc(slices.Clone(d.Columns), func(c Column) bool { return !a.has(c.Requires) })
		seen.Filters = slices.DeleteFunc(slices.Clone(d.Filters), func(f Filter) bool { return d.filterScope(f, a) != "" })
		visible = append(visible, seen)
	}
	return visible
}

// refuses returns the error, with the code Forbidden, for a caller who can get
// nothing of the dataset.
func (d Dataset) refuses(a Access) error {
	switch {
	case !a.has(d.Requires):
		return export.Errorf(export.Forbidden, "The dataset %s needs the scope %s.", d.Name, quote(d.Requires))
	case d.Rows != RowScope{} && len(a.values(d.Rows.Claim)) == 0:
		return export.Errorf(export.Forbidden, "The dataset %s is for callers with the claim %s.", d.Name, quote(d.Rows.Claim))
	case !slices.ContainsFunc(d.Columns, func(c Column) bool { return a.has(c.Requires) }):
		return export.Errorf(export.Forbidden, "Each column of the dataset %s needs a scope that the caller doesn't have.", d.Name)
	default:
		return nil
	}
}

// permit returns the error, with the code Forbidden, for a request that names
// a column or filter that the caller may not use.
func (d Dataset) permit(filters map[string][]string, columns []string, a Access) error {
	for _, c := range d.Columns {
		if slices.Contains(columns, c.Name) && !a.has(c.Requires) {
			return export.Errorf(export.Forbidden, "The column %s needs the scope %s.", c.Name, quote(c.Requires))
		}
	}
	for _, f := range d.Filters {
		if _, given := filters[f.Name]; !given {
			continue
		}
		if scope := d.filterScope(f, a); scope != "" {
			return export.Errorf(export.Forbidden, "The filter %s needs the scope %s.", f.Name, quote(scope))
		}
	}
	return nil
}

// filterScope is a scope that the caller lacks for a filter; empty for none.
// Who may not see a column's values may not find them out by filters, either.
func (d Dataset) filterScope(f Filter, a Access) (missing string) {
	for _, c := range d.Columns {
		if c.Source() != f.Column {
			continue
		}
		if a.has(c.Requires) {
			return ""
		}
		missing = c.Requires
	}
	return missing
}
