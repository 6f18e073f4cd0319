package api

import (
	"context"
	"net/http"
	"time"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// estimateTimeout bounds an estimate, with the connection that it takes.
const estimateTimeout = 2 * time.Second

// EstimateExport answers POST /exports/estimate: how many rows an export would
// have, as the database's planner thinks. Nothing is exported.
type EstimateExport struct {
	// Estimate asks the database: [source.Source.Estimate]. It isn't named here,
	// so that the functions of the other routes have no Postgres driver in them.
	Estimate func(context.Context, dataset.Selection) (int64, error)
	Catalog  *dataset.Catalog
}

func (h *EstimateExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

type estimateView struct {
	EstimatedRows int64 `json:"estimatedRows"`
	Exact         bool  `json:"exact"`
}

func (h *EstimateExport) serve(w http.ResponseWriter, r *http.Request) error {
	spec, validateOnly, err := readSpec(w, r, h.Catalog, nil)
	if err != nil {
		return err
	}
	if validateOnly {
		return writeValid(w)
	}
	if len(spec.Rows) > 0 {
		// The planner knows the whole table, not the caller's rows alone: how many
		// it expects with a filter would tell what is in the rows of others.
		spec.Filters = nil
	}
	d, _ := h.Catalog.Find(spec.Dataset) // the spec is of the same catalog
	selection, err := h.Catalog.Resolve(spec, d.Fingerprint())
	if err != nil {
		return err
	}
	rows, err := h.estimate(r.Context(), selection)
	if code := export.CodeOf(err); code == export.SourceUnavailable || code == export.SourceUnreachable {
		return &export.Error{Code: export.Unavailable, Message: "The database didn't answer in time. Please try again.", Err: err}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, estimateView{EstimatedRows: rows})
}

func (h *EstimateExport) estimate(ctx context.Context, selection dataset.Selection) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, estimateTimeout)
	defer cancel()
	return h.Estimate(ctx, selection)
}
