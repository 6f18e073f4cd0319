package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// origin is that of a web application which isn't the service's own.
const origin = "https://app.example"

// webPage is a web page in a browser: it asks as the Fetch standard says, and sees
// what that lets it see.
type webPage struct{ origin string }

// fetch sends a request of the page to a URL, after the preflight that it
// takes, and returns the answer; nil if the browser would not show it.
func (p webPage) fetch(t *testing.T, method, target, body string, header http.Header) *answer {
	t.Helper()
	if method != http.MethodGet || header.Get("Authorization") != "" {
		asked := http.Header{"Access-Control-Request-Method": {method}}
		var names []string
		for name := range header {
			names = append(names, strings.ToLower(name))
		}
		slices.Sort(names)
		asked.Set("Access-Control-Request-Headers", strings.Join(names, ","))
		preflight := p.send(t, http.MethodOptions, target, "", asked)
		if preflight.status < 200 || preflight.status > 299 || preflight.header.Get("Access-Control-Allow-Origin") != p.origin ||
			!lists(preflight.header.Get("Access-Control-Allow-Methods"), method) {
			return nil
		}
		for _, name := range names {
			if !lists(preflight.header.Get("Access-Control-Allow-Headers"), name) {
				return nil
			}
		}
	}
	a := p.send(t, method, target, body, header)
	if a.header.Get("Access-Control-Allow-Origin") != p.origin {
		return nil
	}
	exposed := a.header.Get("Access-Control-Expose-Headers")
	for name := range a.header {
		// Those that every page may read (Fetch standard, "CORS-safelisted response-header name").
		safe := slices.Contains([]string{"Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires", "Last-Modified", "Pragma"}, name)
		if !safe && !lists(exposed, name) {
			a.header.Del(name)
		}
	}
	return &a
}

func lists(list, item string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), item) })
}

func (p webPage) send(t *testing.T, method, target, body string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Origin", p.origin)
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, text}
}

// Pages of the allowed origin make an export and fetch its file, and see every
// answer on the way; pages of another see nothing.
func TestOrigin(t *testing.T) {
	g := newGuarded(t, "AllowedOrigin="+origin)
	g.seed(t, smallRows)
	anna := g.as(t, "anna", nil)
	header := http.Header{"Authorization": {anna.authorization}, "Content-Type": {"application/json"}, "Idempotency-Key": {"one"}}
	app, other := webPage{origin}, webPage{"https://evil.example"}

	created := app.fetch(t, http.MethodPost, g.BaseURL+"/exports/csv", "{}", header)
	if created == nil || created.status != http.StatusAccepted || created.header.Get("Location") == "" || created.header.Get("Retry-After") == "" {
		t.Fatalf("the page sees of its export:\n%+v", created)
	}
	id := decodeStatus(t, *created, http.StatusAccepted).ExportID
	anna.follow(t, id, runTimeout, nil)
	token := http.Header{"Authorization": {anna.authorization}, "Accept": {"application/json"}}
	got := app.fetch(t, http.MethodGet, g.BaseURL+"/exports/"+id+"/download", "", token)
	if got == nil || got.status != http.StatusOK {
		t.Fatalf("the page sees %v of the download", got)
	}
	signed := anna.get(t, "/exports/"+id+"/download").header.Get("Location")
	file := app.fetch(t, http.MethodGet, signed, "", nil)
	if file == nil || file.status != http.StatusOK || !strings.Contains(file.header.Get("Content-Disposition"), ".csv.gz") {
		t.Fatalf("the page sees %v of the file", file)
	}
	if part := app.send(t, http.MethodOptions, signed, "", http.Header{"Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"range"}}); part.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("a page can't ask for a range: %d %v", part.status, part.header)
	}
	for name, r := range map[string]struct {
		method, target string
		header         http.Header
		status         int
	}{
		"no token":      {http.MethodGet, g.BaseURL + "/exports", http.Header{"Authorization": {"Bearer x"}}, http.StatusUnauthorized},
		"no export":     {http.MethodGet, g.BaseURL + "/exports/" + unknownID + "/status", token, http.StatusNotFound},
		"no route":      {http.MethodGet, g.BaseURL + "/nothing", nil, http.StatusNotFound},
		"public":        {http.MethodGet, g.BaseURL + "/health", nil, http.StatusOK},
		"deletion":      {http.MethodDelete, g.BaseURL + "/exports/" + unknownID, token, http.StatusNotFound},
		"below a stage": {http.MethodGet, g.BaseURL + "/v1/exports", token, http.StatusOK},
	} {
		if a := app.fetch(t, r.method, r.target, "", r.header); a == nil || a.status != r.status {
			t.Errorf("%s: the page sees %v, want %d", name, a, r.status)
		}
		if a := other.fetch(t, r.method, r.target, "", r.header); a != nil {
			t.Errorf("%s: a page of another origin sees %d %s", name, a.status, a.body)
		}
	}
	for name, a := range map[string]*answer{
		"export": other.fetch(t, http.MethodPost, g.BaseURL+"/exports/csv", "{}", header), "file": other.fetch(t, http.MethodGet, signed, "", nil),
	} {
		if a != nil {
			t.Errorf("%s: a page of another origin sees %d", name, a.status)
		}
	}
}

// Without AllowedOrigin no page of another origin sees anything.
func TestOrigin_none(t *testing.T) {
	for _, path := range []string{"/health", "/exports", "/nothing"} {
		if a := (webPage{origin}).fetch(t, http.MethodGet, shared.BaseURL+path, "", nil); a != nil {
			t.Errorf("%s: the page sees %d", path, a.status)
		}
	}
	if a := (webPage{origin}).send(t, http.MethodOptions, shared.BaseURL+"/exports/csv", "", http.Header{"Access-Control-Request-Method": {"POST"}}); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight allows %v", a.header)
	}
}
