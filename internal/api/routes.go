package api

import (
	"net/http"

	"csvexport/internal/export"
)

// Routes are the handlers of a function behind several routes, by method and
// path as template.yaml has them: "POST /exports/{id}/retry". API Gateway has
// matched the request already; its pattern says to what.
type Routes map[string]http.Handler

func (routes Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, ok := routes[r.Pattern]; ok {
		h.ServeHTTP(w, r)
		return
	}
	handler(func(http.ResponseWriter, *http.Request) error {
		return export.Errorf(export.NotFound, "There is no such route.")
	}).ServeHTTP(w, r)
}
