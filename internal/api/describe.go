package api

import (
	_ "embed"
	"net/http"
	"time"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// ListDatasets answers GET /datasets with the datasets that the caller may
// export, and the destinations that the files may go to. The first one of the catalog is what a request means that names none.
type ListDatasets struct{ Catalog *dataset.Catalog }

func (h *ListDatasets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *ListDatasets) serve(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Datasets     []datasetView           `json:"datasets"`
		Destinations []listedDestinationView `json:"destinations"`
	}{Datasets: []datasetView{}, Destinations: []listedDestinationView{}}
	access := CallerOf(r).Access
	for _, d := range h.Catalog.Visible(access) {
		answer.Datasets = append(answer.Datasets, viewDataset(d))
	}
	for _, d := range h.Catalog.Destinations(access) {
		answer.Destinations = append(answer.Destinations, listedDestinationView{Name: d.Name, Description: orNull(d.Description)})
	}
	return writeJSON(w, http.StatusOK, answer)
}

// GetDataset answers GET /datasets/{name}.
type GetDataset struct{ Catalog *dataset.Catalog }

func (h *GetDataset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *GetDataset) serve(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	for _, d := range h.Catalog.Visible(CallerOf(r).Access) {
		if d.Name == name {
			return writeJSON(w, http.StatusOK, viewDataset(d))
		}
	}
	if _, there := h.Catalog.Find(name); there {
		return export.Errorf(export.Forbidden, "You may not export this dataset.")
	}
	return export.Errorf(export.NotFound, "There is no dataset of this name.")
}

// listedDestinationView is a destination as callers see it: not where it is.
type listedDestinationView struct {
	Name        string  `json:"name"`
	Description *string `json:"description"`
}

// datasetView is a dataset as callers see it.
type datasetView struct {
	Name        string       `json:"name"`
	Description *string      `json:"description"`
	Key         []string     `json:"key"`
	Columns     []columnView `json:"columns"`
	Filters     []filterView `json:"filters"`
	Limits      limitsView   `json:"limits"`
}

type columnView struct {
	Name string  `json:"name"`
	Type *string `json:"type"`
}

type filterView struct {
	Name      string       `json:"name"`
	Column    string       `json:"column"`
	Operator  string       `json:"operator"`
	Type      dataset.Type `json:"type"`
	List      bool         `json:"list"`
	MaxLength *int         `json:"maxLength"`
	Pattern   *string      `json:"pattern"`
	Hint      *string      `json:"hint"`
}

// limitsView has null for what isn't bounded.
type limitsView struct {
	Rows       *int64 `json:"rows"`
	Bytes      *int64 `json:"bytes"`
	AgeSeconds *int64 `json:"ageSeconds"`
}

func viewDataset(d dataset.Dataset) datasetView {
	v := datasetView{
		Name: d.Name, Description: orNull(d.Description), Key: make([]string, len(d.Key)),
		Columns: make([]columnView, len(d.Columns)), Filters: make([]filterView, len(d.Filters)),
		Limits: limitsView{Rows: orNull(d.Limits.Rows), Bytes: orNull(d.Limits.Bytes), AgeSeconds: orNull(int64((d.Limits.Age + time.Second - 1) / time.Second))},
	}
	for i, k := range d.Key {
		v.Key[i] = inFile(d, k)
	}
	for i, c := range d.Columns {
		v.Columns[i] = columnView{Name: c.Name, Type: orNull(c.Type)}
	}
	for i, f := range d.Filters {
		v.Filters[i] = filterView{
			Name: f.Name, Column: inFile(d, f.Column), Operator: operatorWord(f), Type: f.Type, List: f.Operator == dataset.In,
			MaxLength: orNull(f.MaxLength), Hint: orNull(f.Hint),
		}
		if f.Pattern != nil {
			v.Filters[i].Pattern = new(f.Pattern.String())
		}
	}
	return v
}

// inFile is the name that a column of the relation has in the file, or its own
// where it isn't in it.
func inFile(d dataset.Dataset, column string) string {
	for _, c := range d.Columns {
		if c.Source() == column {
			return c.Name
		}
	}
	return column
}

// operatorWord is the filter's operator as the catalog has it: that of a time
// is from or to, of a number min or max.
func operatorWord(f dataset.Filter) string {
	isTime := f.Type == dataset.Timestamp || f.Type == dataset.Date
	switch {
	case f.Operator == dataset.AtLeast && isTime:
		return "from"
	case f.Operator == dataset.AtLeast:
		return "min"
	case f.Operator == dataset.AtMost && isTime:
		return "to"
	case f.Operator == dataset.AtMost:
		return "max"
	default:
		return string(f.Operator)
	}
}

//go:embed openapi.yaml
var contract []byte

// Contract answers GET /openapi.yaml with the service's HTTP contract, an
// OpenAPI 3.1 document, to everybody.
type Contract struct{}

func (Contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	public(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/yaml") // RFC 9512
		w.WriteHeader(http.StatusOK)
		_, err := w.Write(contract)
		return err
	}).ServeHTTP(w, r)
}
