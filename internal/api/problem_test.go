package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"csvexport/internal/export"
)

// A code that isn't the caller's business is an internal error, without its
// message and fields.
func TestWriteProblem_inside(t *testing.T) {
	for _, code := range []export.Code{export.StorageRejected, export.FenceLost, "new"} {
		w := httptest.NewRecorder()
		writeProblem(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), &export.Error{
			Code: code, Message: "The bucket x is missing.", Fields: []export.FieldError{{Field: "bucket"}},
		})
		var got problem
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusInternalServerError || got.Code != export.Internal || got.Detail != export.MessageOf(nil) || got.Errors != nil {
			t.Errorf("%s: status %d, problem %+v", code, w.Code, got)
		}
	}
}
