package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/webhook"
)

// maxDescription is how many characters a webhook's description may have.
const maxDescription = 200

// webhookView is a webhook as its owner sees it.
type webhookView struct {
	ID             string               `json:"id"`
	URL            string               `json:"url"`
	Description    string               `json:"description"`
	Enabled        bool                 `json:"enabled"`
	DisabledReason *string              `json:"disabledReason"`
	DisabledAt     *time.Time           `json:"disabledAt"`
	LastFailure    *deliveryFailureView `json:"lastFailure"`
	CreatedAt      time.Time            `json:"createdAt"`
	// Secret is told once, by the answer to POST /webhooks.
	Secret string `json:"secret,omitempty"`
}

type deliveryFailureView struct {
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

func viewWebhook(h export.Webhook) webhookView {
	v := webhookView{
		ID: h.ID, URL: h.URL, Description: h.Description, Enabled: h.DisabledAt.IsZero(), DisabledAt: orNull(h.DisabledAt), CreatedAt: h.CreatedAt,
	}
	if !v.Enabled {
		v.DisabledReason = new("gone")
	}
	if h.LastFailure != nil {
		v.LastFailure = &deliveryFailureView{At: h.LastFailure.At, Message: h.LastFailure.Message}
	}
	return v
}

// CreateWebhook answers POST /webhooks: it registers an address that is told of
// each of the caller's exports that comes to its end.
type CreateWebhook struct {
	Jobs      *jobs.Store
	Addresses webhook.Addresses
}

func (h *CreateWebhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *CreateWebhook) serve(w http.ResponseWriter, r *http.Request) error {
	hook, err := h.create(w, r)
	auditWebhook(r, "create webhook", hook.ID, err)
	if err != nil {
		return err
	}
	v := viewWebhook(hook)
	v.Secret = hook.Secret
	return writeJSON(w, http.StatusCreated, v)
}

func (h *CreateWebhook) create(w http.ResponseWriter, r *http.Request) (export.Webhook, error) {
	body, err := readBody(w, r)
	if err != nil {
		return export.Webhook{}, err
	}
	hook, err := h.decode(body)
	if err != nil {
		return export.Webhook{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return export.Webhook{}, err
	}
	hook.ID, hook.Secret, hook.CreatedAt = id.String(), webhook.NewSecret(), time.Now().UTC().Truncate(time.Millisecond)
	return hook, h.Jobs.AddWebhook(r.Context(), CallerOf(r).Owner, hook)
}

// decode reads the request. Its error names every problem at once.
func (h *CreateWebhook) decode(body []byte) (export.Webhook, error) {
	fields, err := object(body)
	if err != nil {
		return export.Webhook{}, err
	}
	var hook export.Webhook
	given := false
	var problems []export.FieldError
	for i, f := range fields {
		message := ""
		switch {
		case repeated(fields, i):
			message = "is given twice"
		case f.name == "url":
			given = true
			if message = decodeInto(f.value, &hook.URL, "must be a string"); message != "" {
				break
			}
			if err := h.Addresses.Check(hook.URL); err != nil {
				message = err.Error()
			}
		case f.name == "description":
			message = decodeInto(f.value, &hook.Description, "must be a string")
			if utf8.RuneCountInString(hook.Description) > maxDescription {
				message = fmt.Sprintf("must have at most %d characters", maxDescription)
			}
		default:
			message = "is not a field of this request"
		}
		if message != "" {
			problems = append(problems, export.FieldError{Field: f.name, Message: message})
		}
	}
	if !given {
		problems = append(problems, export.FieldError{Field: "url", Message: "must be given"})
	}
	if len(problems) > 0 {
		return export.Webhook{}, invalid(problems...)
	}
	return hook, nil
}

// ListWebhooks answers GET /webhooks with all of the caller's, the oldest first.
type ListWebhooks struct {
	Jobs *jobs.Store
}

func (h *ListWebhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *ListWebhooks) serve(w http.ResponseWriter, r *http.Request) error {
	hooks, err := h.Jobs.Webhooks(r.Context(), CallerOf(r).Owner)
	if err != nil {
		return err
	}
	views := make([]webhookView, len(hooks))
	for i, hook := range hooks {
		views[i] = viewWebhook(hook)
	}
	return writeJSON(w, http.StatusOK, map[string][]webhookView{"webhooks": views})
}

// DeleteWebhook answers DELETE /webhooks/{id}. The answer is 204 each time: also
// for an id that isn't the caller's, which changes nothing.
type DeleteWebhook struct {
	Jobs *jobs.Store
}

func (h *DeleteWebhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *DeleteWebhook) serve(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return invalid(export.FieldError{Field: "id", Message: "must be a webhook's id as the service gave it: a UUID in lower case"})
	}
	err := h.Jobs.RemoveWebhook(r.Context(), CallerOf(r).Owner, id)
	auditWebhook(r, "delete webhook", id, err)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// auditWebhook is audit for an action on a webhook. Its address isn't told: it
// may hold a secret of the receiver's.
func auditWebhook(r *http.Request, action, id string, err error) {
	c := CallerOf(r)
	slog.Log(r.Context(), audited, "audit",
		"action", action, "outcome", outcome(err), "webhookId", id, "traceparent", traceOf(r),
		"owner", c.Owner, "subject", c.Subject, "requestId", c.RequestID, "sourceIp", c.SourceIP)
}
