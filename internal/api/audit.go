package api

import (
	"log/slog"
	"net/http"

	"csvexport/internal/export"
)

// audited is above every level that the log may begin at: who did what is told
// in any case.
const audited = slog.LevelError + 4

// audit logs that the caller tried an action (create, download, delete, retry)
// on an export, and what came of it: ok, or the code of err. e is the zero
// value if the caller doesn't get to see it; then the path names it.
func audit(r *http.Request, action string, e export.Export, err error) {
	c := CallerOf(r)
	id, trace := e.ID, e.Traceparent
	if id == "" {
		id, trace = r.PathValue("id"), traceOf(r)
	}
	attrs := []any{
		"action", action, "outcome", outcome(err), "exportId", id, "traceparent", trace, "dataset", e.Spec.Dataset,
		"owner", c.Owner, "subject", c.Subject, "requestId", c.RequestID, "sourceIp", c.SourceIP,
	}
	if old := r.PathValue("id"); old != "" && old != id {
		attrs = append(attrs, "retryOf", old)
	}
	slog.Log(r.Context(), audited, "audit", attrs...)
}

// outcome is ok, or the code of err.
func outcome(err error) string {
	if err != nil {
		return string(export.CodeOf(err))
	}
	return "ok"
}
