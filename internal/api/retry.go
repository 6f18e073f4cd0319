package api

import (
	"net/http"
	"time"

	"csvexport/internal/export"
)

// RetryExport answers POST /exports/{id}/retry: a failed or cancelled export
// is requested anew, as a new export, for the dataset as it is defined now and
// with the caller's present rights. The answers are those of a create.
type RetryExport CreateExport

func (h *RetryExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *RetryExport) serve(w http.ResponseWriter, r *http.Request) error {
	e, err := h.retry(w, r)
	audit(r, "retry", e, err)
	if err != nil {
		return err
	}
	return accepted(w, r, e)
}

// retry returns the new export, or with an error the old one if it is the
// caller's.
func (h *RetryExport) retry(w http.ResponseWriter, r *http.Request) (export.Export, error) {
	key, problems := idempotencyKey(r)
	body, err := readBody(w, r)
	if err != nil {
		return export.Export{}, err
	}
	fields, err := object(body)
	if err != nil {
		return export.Export{}, err
	}
	for _, f := range fields {
		problems = append(problems, export.FieldError{Field: f.name, Message: "is not a field of this request: a retry takes none"})
	}
	if len(problems) > 0 {
		return export.Export{}, invalid(problems...)
	}
	old, err := find(r, h.Jobs)
	if err != nil {
		return export.Export{}, err
	}
	switch status := old.StatusAt(time.Now()); status {
	case export.Failed, export.Cancelled:
	case export.Processing:
		return old, export.Errorf(export.NotReady, "The export isn't finished yet; ask for its status.")
	default:
		return old, export.Errorf(export.NotRetryable, "The export is %s; only a failed or cancelled one can be retried. Request a new one.", status)
	}
	spec, err := h.Catalog.Renew(old.Spec, CallerOf(r).Access)
	if err != nil {
		return old, err
	}
	e, err := (*CreateExport)(h).take(r, spec, key, "retry "+old.ID)
	if err != nil {
		return old, err
	}
	return e, nil
}
