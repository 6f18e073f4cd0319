package api

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"regexp"
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
type CreateExport struct {
	Jobs    *jobs.Store
	Queue   *queue.Queue
	Catalog dataset.Catalog
}

func (h *CreateExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *CreateExport) serve(w http.ResponseWriter, r *http.Request) error {
	spec, validateOnly, err := h.spec(w, r)
	if err == nil && validateOnly {
		return writeJSON(w, http.StatusOK, map[string]bool{"valid": true})
	}
	var e export.Export
	if err == nil {
		e, err = h.create(r, spec)
	}
	audit(r, "create", e, err)
	if err != nil {
		return err
	}
	w.Header().Set("Location", CallerOf(r).BasePath+"/exports/"+e.ID+"/status")
	w.Header().Set("Retry-After", "1")
	return writeJSON(w, http.StatusAccepted, view(e, time.Now()))
}

// create records a new export and sends it.
func (h *CreateExport) create(r *http.Request, spec export.Spec) (export.Export, error) {
	e, err := newExport(CallerOf(r).Owner, spec, h.Catalog[spec.Dataset], time.Now())
	if err != nil {
		return export.Export{}, err
	}
	if err := h.Jobs.Create(r.Context(), e); err != nil {
		return export.Export{}, err
	}
	message := queue.Message{ExportID: e.ID, Traceparent: traceparent(r)}
	if err := h.Queue.Send(r.Context(), e.Owner, message, 0); err != nil {
		slog.WarnContext(r.Context(), "message not sent, left to the sweeper", "exportId", e.ID, "error", err)
	}
	return e, nil
}

// spec reads and checks the request. Its error names every problem at once.
func (h *CreateExport) spec(w http.ResponseWriter, r *http.Request) (spec export.Spec, validateOnly bool, err error) {
	body, err := readBody(w, r)
	if err != nil {
		return export.Spec{}, false, err
	}
	request, problems, err := decodeCreate(body)
	if err != nil {
		return export.Spec{}, false, err
	}
	if r.Header.Get("Idempotency-Key") != "" {
		problems = append(problems, export.FieldError{Field: "Idempotency-Key", Message: "can't be given yet"})
	}
	spec, more := h.Catalog.Spec(request.Request)
	if problems = append(problems, more...); len(problems) > 0 {
		return export.Spec{}, false, invalid(problems...)
	}
	return spec, request.validateOnly, nil
}

func newExport(owner string, spec export.Spec, d dataset.Dataset, now time.Time) (export.Export, error) {
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

var validTraceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceparent is the request's trace (W3C Trace Context), or a new one.
func traceparent(r *http.Request) string {
	if t := r.Header.Get("Traceparent"); validTraceparent.MatchString(t) {
		return t
	}
	return "00-" + randomHex(16) + "-" + randomHex(8) + "-01"
}
