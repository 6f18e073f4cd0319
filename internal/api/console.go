package api

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// consoleFiles are the console's parts; Console puts them together.
//
//go:embed console
var consoleFiles embed.FS

// Console answers GET / with the page for people, to everybody: it asks the
// other routes, with the token of whoever uses it. A browser may keep it, but
// asks each time whether it is still the same.
type Console struct {
	html   []byte
	policy string // Content-Security-Policy
	etag   string
}

// NewConsole puts style and scripts into the page, so that it needs no other
// request, and lets the browser run exactly these (Content Security Policy
// Level 3, "hash-source"). The page talks to its own origin only.
func NewConsole() *Console {
	read := func(name string) string {
		b, err := consoleFiles.ReadFile("console/" + name)
		if err != nil { // it is embedded
			panic(err)
		}
		return string(b)
	}
	style := read("console.css")
	script := read("service.js") + read("form.js") + read("list.js") + read("main.js")
	html := strings.NewReplacer("{{style}}", style, "{{script}}", script).Replace(read("console.html"))
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	}
	return &Console{
		html: []byte(html),
		policy: fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'", hash(script), hash(style)),
		etag: `"` + hash(html) + `"`,
	}
}

func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	public(func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", c.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", c.etag)
		if strings.Contains(r.Header.Get("If-None-Match"), c.etag) { // one of a list, weak or not (RFC 9110, 13.1.2)
			h.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		w.WriteHeader(http.StatusOK)
		_, err := w.Write(c.html)
		return err
	}).ServeHTTP(w, r)
}
