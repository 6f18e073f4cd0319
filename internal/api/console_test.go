package api_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"csvexport/internal/api"
)

// maxPage is what the console's page may have, in bytes.
const maxPage = 60_000

func getConsole(t *testing.T, headers http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header = headers
	w := httptest.NewRecorder()
	api.NewConsole().ServeHTTP(w, r)
	return w
}

// The page is in one piece, for everybody, and may run what is in it and
// nothing else.
func TestConsole(t *testing.T) {
	w := getConsole(t, http.Header{})
	page := w.Body.String()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(page, "<!doctype html>") {
		t.Fatalf("answer %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	if len(page) > maxPage {
		t.Errorf("the page has %d bytes, more than %d", len(page), maxPage)
	}
	for _, outside := range []string{"http://", "https://", "{{", " src=", "@import", " url(", "innerHTML", "eval("} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), outside) {
			t.Errorf("the page has %q in it", outside)
		}
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, part := range []struct{ directive, open, end string }{
		{"script-src", `<script type="module">`, "</script>"},
		{"style-src", "<style>", "</style>"},
	} {
		if strings.Count(page, part.open) != 1 {
			t.Fatalf("the page has not one %s", part.open)
		}
		_, rest, _ := strings.Cut(page, part.open)
		text, _, _ := strings.Cut(rest, part.end)
		sum := sha256.Sum256([]byte(text))
		if want := part.directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"; !strings.Contains(policy, want) {
			t.Errorf("the policy doesn't let run what is in %s: it lacks %s\n%s", part.open, want, policy)
		}
	}
	for _, want := range []string{"default-src 'none';", "connect-src 'self';", "frame-ancestors 'none';", "base-uri 'none';", "form-action 'none';"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s\n%s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
}

// A browser that has the page already isn't sent it again.
func TestConsole_again(t *testing.T) {
	etag := getConsole(t, http.Header{}).Header().Get("ETag")
	for _, test := range []struct {
		name, given string
		want        int
	}{
		{"the same", etag, http.StatusNotModified},
		{"one of two, packed on the way", `"old", W/` + etag, http.StatusNotModified},
		{"another", `"old"`, http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := getConsole(t, http.Header{"If-None-Match": {test.given}})
			if w.Code != test.want || (w.Body.Len() == 0) != (test.want == http.StatusNotModified) || w.Header().Get("ETag") != etag {
				t.Errorf("answer %d with %d bytes and ETag %s", w.Code, w.Body.Len(), w.Header().Get("ETag"))
			}
		})
	}
}
