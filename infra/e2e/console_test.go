package e2e

import (
	"bytes"
	"net/http"
	"testing"
)

// The console's page is there for everybody, at the root and below the stage;
// make test-console uses it.
func TestConsole(t *testing.T) {
	page := shared.get(t, "/")
	if page.status != http.StatusOK || page.header.Get("Content-Type") != "text/html; charset=utf-8" || !bytes.HasPrefix(page.body, []byte("<!doctype html>")) {
		t.Fatalf("answers %d %s", page.status, page.header.Get("Content-Type"))
	}
	t.Run("below the stage", func(t *testing.T) {
		for _, path := range []string{"/v1", "/v1/"} {
			if below := shared.get(t, path); below.status != http.StatusOK || !bytes.Equal(below.body, page.body) {
				t.Errorf("%s answers %d", path, below.status)
			}
		}
	})
	if again := shared.get(t, "/", "If-None-Match: "+page.header.Get("ETag")); again.status != http.StatusNotModified || len(again.body) != 0 {
		t.Errorf("the same page again: %d and %d bytes", again.status, len(again.body))
	}
}
