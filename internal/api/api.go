// Package api is the service's HTTP semantics as plain http.Handlers, one for
// each route: decode, check, call, encode. What a handler answers is
// specified in openapi.yaml.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

// Caller is what the gateway knows about a request.
type Caller struct {
	// Owner is whose exports the request may see: verified, never taken from
	// the request itself. It is empty for nobody, who may use public routes only.
	Owner string
	// Subject is who the caller is, for the audit log; empty for everybody
	// where nobody signs in.
	Subject string
	// Access is what the verified token lets the caller export.
	Access dataset.Access
	// BasePath goes before every path of ours in a link: empty, or "/stage".
	BasePath string
	// RequestID names the request in logs and problem documents.
	RequestID string
	SourceIP  string
}

type callerKey struct{}

// WithCaller returns a context for the handlers of this package.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns what WithCaller put into the request's context.
func CallerOf(r *http.Request) Caller {
	c, _ := r.Context().Value(callerKey{}).(Caller)
	return c
}

// handler is an http.Handler that may fail. What it returns is answered as a
// problem document; it must not have written before. It isn't called for a
// request without an owner, which is answered 401.
type handler func(w http.ResponseWriter, r *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	public(func(w http.ResponseWriter, r *http.Request) error {
		if err := authenticated(r); err != nil {
			return err
		}
		return h(w, r)
	}).ServeHTTP(w, r)
}

// authenticated returns the error for a request without an owner.
func authenticated(r *http.Request) error {
	if CallerOf(r).Owner == "" {
		return export.Errorf(export.Unauthenticated, "The request does not say who sends it.")
	}
	return nil
}

// public is a handler that answers nobody's requests, too.
type public func(w http.ResponseWriter, r *http.Request) error

func (h public) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	r = withTrace(r)
	answer := &recorder{ResponseWriter: w, status: http.StatusOK}
	answer.Header().Set("Cache-Control", "no-store")
	err := h(answer, r)
	if err != nil {
		writeProblem(answer, r, err)
	}
	c := CallerOf(r)
	level := slog.LevelInfo
	if answer.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := []any{
		"requestId", c.RequestID, "traceparent", traceOf(r), "owner", c.Owner, "method", r.Method, "path", r.URL.Path,
		"status", answer.status, "milliseconds", float64(time.Since(began).Microseconds()) / 1000,
	}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	slog.Log(r.Context(), level, "request", attrs...)
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}

// find returns the export that the path names, if it is the caller's.
func find(r *http.Request, store *jobs.Store) (export.Export, error) {
	id := r.PathValue("id")
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return export.Export{}, invalid(export.FieldError{Field: "id", Message: "must be an export's id as the service gave it: a UUID in lower case"})
	}
	e, err := store.Get(r.Context(), id)
	if err != nil {
		return export.Export{}, err
	}
	if e.Owner != CallerOf(r).Owner {
		return export.Export{}, export.Errorf(export.NotFound, "There is no export with this id.")
	}
	return e, nil
}

// invalid returns the error for a request with the given problems.
func invalid(problems ...export.FieldError) error {
	return &export.Error{Code: export.InvalidRequest, Message: "The request isn't valid; see errors.", Fields: problems}
}
