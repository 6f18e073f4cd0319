package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/queue"
)

// sendGrace is how long the sweeper leaves a new export to its message.
const sendGrace = time.Minute

// CreateExport answers POST /exports/csv: it records the export, sends it to
// the queue and answers 202. A send that fails is the sweeper's to repeat.
//
// A request with an Idempotency-Key that was used before for the same request
// is answered with that one's export, as it is now.
type CreateExport struct {
	Jobs    *jobs.Store
	Queue   *queue.Queue
	Catalog *dataset.Catalog
	Quota   jobs.Quota // of each owner
}

func (h *CreateExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *CreateExport) serve(w http.ResponseWriter, r *http.Request) error {
	key, problems := idempotencyKey(r)
	spec, validateOnly, err := readSpec(w, r, h.Catalog, problems)
	if err == nil && validateOnly {
		return writeValid(w)
	}
	var e export.Export
	if err == nil {
		e, err = h.take(r, spec, key, "create")
	}
	audit(r, "create", e, err)
	if err != nil {
		return err
	}
	return accepted(w, r, e)
}

// take takes a new export on and sends it, or returns the earlier one of the
// same key. What is asked for under a key is the operation and the spec.
func (h *CreateExport) take(r *http.Request, spec export.Spec, key, operation string) (export.Export, error) {
	now := time.Now()
	e, err := newExport(CallerOf(r).Owner, spec, h.Catalog, now)
	if err != nil {
		return export.Export{}, err
	}
	e.Traceparent = traceOf(r)
	request, err := fingerprint(operation, spec)
	if err != nil {
		return export.Export{}, err
	}
	admitted, err := h.Jobs.Admit(r.Context(), e, jobs.Admission{Quota: h.Quota, Key: key, Request: request}, now)
	if err != nil || admitted.ID != e.ID {
		return admitted, err
	}
	message := queue.Message{ExportID: e.ID, Traceparent: e.Traceparent}
	if err := h.Queue.Send(r.Context(), e.Owner, message, 0); err != nil {
		slog.WarnContext(r.Context(), "message not sent, left to the sweeper", "exportId", e.ID, "traceparent", e.Traceparent, "error", err)
	}
	return e, nil
}

// accepted answers 202 with the export as it is.
func accepted(w http.ResponseWriter, r *http.Request, e export.Export) error {
	w.Header().Set("Location", CallerOf(r).BasePath+"/exports/"+e.ID+"/status")
	w.Header().Set("Retry-After", "1")
	return writeJSON(w, http.StatusAccepted, view(e, time.Now()))
}

// fingerprint identifies what a request asks for.
func fingerprint(operation string, spec export.Spec) (string, error) {
	b, err := json.Marshal(spec) // maps are encoded in the order of their keys
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(operation+"\n"), b...))
	return hex.EncodeToString(sum[:]), nil
}

const maxKey = 255 // characters of an idempotency key

// idempotencyKey returns the request's key; empty if it has none.
func idempotencyKey(r *http.Request) (string, []export.FieldError) {
	given := r.Header.Values("Idempotency-Key")
	if len(given) == 0 {
		return "", nil
	}
	visible := func(c rune) bool { return c > ' ' && c <= '~' }
	if len(given) > 1 || given[0] == "" || len(given[0]) > maxKey || strings.ContainsFunc(given[0], func(c rune) bool { return !visible(c) }) {
		return "", []export.FieldError{{Field: "Idempotency-Key", Message: fmt.Sprintf("must be one header of 1 to %d visible ASCII characters, without blanks", maxKey)}}
	}
	return given[0], nil
}

func writeValid(w http.ResponseWriter) error {
	return writeJSON(w, http.StatusOK, map[string]bool{"valid": true})
}

// readSpec reads and checks the request of a create or an estimate. Its error
// names every problem at once, with those that were found before.
func readSpec(w http.ResponseWriter, r *http.Request, catalog *dataset.Catalog, problems []export.FieldError) (spec export.Spec, validateOnly bool, err error) {
	body, err := readBody(w, r)
	if err != nil {
		return export.Spec{}, false, err
	}
	request, more, err := decodeCreate(body, catalog.Datasets()[0].Name)
	if err != nil {
		return export.Spec{}, false, err
	}
	problems = append(problems, more...)
	spec, err = catalog.Spec(request.Request, CallerOf(r).Access)
	if e, ok := errors.AsType[*export.Error](err); ok && e.Code == export.InvalidRequest {
		problems = append(problems, e.Fields...)
	} else if err != nil {
		return export.Spec{}, false, err
	}
	if len(problems) > 0 {
		return export.Spec{}, false, invalid(problems...)
	}
	return spec, request.validateOnly, nil
}

// newExport makes the record of an export whose dataset is in the catalog.
func newExport(owner string, spec export.Spec, catalog *dataset.Catalog, now time.Time) (export.Export, error) {
	d, _ := catalog.Find(spec.Dataset)
	id, err := uuid.NewV7()
	if err != nil {
		return export.Export{}, err
	}
	return export.Export{
		ID: id.String(), Owner: owner, Spec: spec, Token: randomHex(16),
		DatasetFingerprint: d.Fingerprint(),
		Status:             export.Processing, Phase: export.Queued,
		CreatedAt: now.UTC().Truncate(time.Millisecond), DueAt: now.Add(sendGrace),
	}, nil
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
