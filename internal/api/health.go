package api

import "net/http"

// Health answers GET /health: the function runs. It asks nobody else.
type Health struct{}

func (h Health) ServeHTTP(w http.ResponseWriter, r *http.Request) { handler(h.serve).ServeHTTP(w, r) }

func (Health) serve(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}
