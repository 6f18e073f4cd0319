package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"csvexport/internal/export"
)

// problem is an error as callers see it: RFC 9457, plus the string "error"
// of the original service.
type problem struct {
	Type      string              `json:"type"`
	Title     string              `json:"title"`
	Status    int                 `json:"status"`
	Detail    string              `json:"detail"`
	Code      export.Code         `json:"code"`
	RequestID string              `json:"requestId"`
	Errors    []export.FieldError `json:"errors,omitempty"`
	Error     string              `json:"error"`
	// These are of a deep health request.
	CheckedAt *time.Time           `json:"checkedAt,omitempty"`
	Checks    map[string]checkView `json:"checks,omitempty"`
}

// statuses is the one table from codes to HTTP. Any other code is Internal:
// it says something about our inside.
var statuses = map[export.Code]struct {
	status     int
	retryAfter int // seconds; 0 for no such header
}{
	export.InvalidRequest:        {status: http.StatusBadRequest},
	export.Unauthenticated:       {status: http.StatusUnauthorized},
	export.Forbidden:             {status: http.StatusForbidden},
	export.NotFound:              {status: http.StatusNotFound},
	export.NotReady:              {status: http.StatusConflict, retryAfter: 1},
	export.ExportFailed:          {status: http.StatusConflict},
	export.NotRetryable:          {status: http.StatusConflict},
	export.IdempotencyInProgress: {status: http.StatusConflict, retryAfter: 1},
	export.Gone:                  {status: http.StatusGone},
	export.PayloadTooLarge:       {status: http.StatusRequestEntityTooLarge},
	export.UnsupportedMediaType:  {status: http.StatusUnsupportedMediaType},
	export.IdempotencyMismatch:   {status: http.StatusUnprocessableEntity},
	export.TooManyExports:        {status: http.StatusTooManyRequests, retryAfter: 10},
	export.Unavailable:           {status: http.StatusServiceUnavailable, retryAfter: 5},
	export.Internal:              {status: http.StatusInternalServerError},
}

func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	code := export.CodeOf(err)
	answer, known := statuses[code]
	detail := export.MessageOf(err)
	if !known {
		code, detail = export.Internal, export.MessageOf(nil)
		answer = statuses[code]
	}
	if e, ok := errors.AsType[*export.Error](err); ok && e.RetryAfter > 0 && known {
		answer.retryAfter = int((e.RetryAfter + time.Second - 1) / time.Second)
	}
	if answer.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(answer.retryAfter))
	}
	if code == export.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	p := problem{
		Type: "about:blank", Title: http.StatusText(answer.status), Status: answer.status, Detail: detail,
		Code: code, RequestID: CallerOf(r).RequestID, Error: detail,
	}
	if e, ok := errors.AsType[*export.Error](err); ok && known {
		p.Errors = e.Fields
	}
	if e, ok := errors.AsType[*unhealthy](err); ok {
		p.CheckedAt, p.Checks = &e.health.CheckedAt, e.health.Checks
	}
	b, err := json.Marshal(p)
	if err != nil { // strings and numbers always encode
		panic(err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(answer.status)
	_, _ = w.Write(append(b, '\n')) // nobody is left to tell
}
