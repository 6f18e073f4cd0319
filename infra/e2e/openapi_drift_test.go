package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/template"
)

// The document has an operation for each route of template.yaml, and no other.
func TestContract_routes(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	declared, err := template.Load(filepath.Join(root, "template.yaml"), template.Options{
		StackName: "contract", Region: localaws.Region, AccountID: localaws.AccountID, QueueURL: localaws.Endpoints{}.QueueURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	var routes, operations []string
	for _, route := range declared.Routes {
		routes = append(routes, route.Method+" "+route.Path)
	}
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			operations = append(operations, method+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(operations)
	if diff := cmp.Diff(routes, operations); diff != "" {
		t.Errorf("routes and operations (-template.yaml +openapi.yaml):\n%s", diff)
	}
}

// What the service serves is the document of this project.
func TestContract_served(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(root, "internal", "api", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, c.text) {
		t.Error("GET /openapi.yaml isn't internal/api/openapi.yaml")
	}
}

// The check finds what it is there for: it is given right exchanges, and the
// same with one thing wrong each.
func TestContract_finds(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	const problem = `{"type":"about:blank","title":"Not Found","status":404,"detail":"x","code":"not_found","requestId":"x","error":"x"}`
	const path = "/exports/" + unknownID
	headers := func(more ...string) http.Header {
		h := http.Header{"Cache-Control": {"no-store"}, "Content-Type": {"application/json"}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	missing := headers("Content-Type", "application/problem+json")
	file := headers("Content-Type", "text/csv", "Content-Disposition", "attachment; filename=x", "Accept-Ranges", "bytes", "ETag", "x", "Last-Modified", "x GMT",
		"X-Amz-Checksum-Crc32", "AAAAAA==", "X-Amz-Checksum-Type", "FULL_OBJECT", "X-Export-Bytes", "1", "X-Export-Rows", "1")
	noBytes := file.Clone()
	noBytes.Del("X-Export-Bytes")
	for _, tt := range []struct {
		name, method, path, body string
		answer                   answer
		says                     string // empty: it is right
	}{
		{"a right answer", "POST", "/exports/csv", "{}", answer{200, headers(), []byte(`{"valid":true}`)}, ""},
		{"below the stage", "POST", "/v1/exports/csv", "{}", answer{200, headers(), []byte(`{"valid":true}`)}, ""},
		{"a right refusal", "POST", path + "/status", "", answer{404, missing, []byte(problem)}, ""},
		{"a field more", "POST", "/exports/csv", "{}", answer{200, headers(), []byte(`{"valid":true,"planted":1}`)}, "planted"},
		{"a field less", "POST", "/exports/csv", "{}", answer{200, headers(), []byte(`{}`)}, "valid"},
		{"another type", "POST", "/exports/csv", "{}", answer{200, headers(), []byte(`{"valid":"true"}`)}, "valid"},
		{"a field more in a problem", "GET", path + "/status", "", answer{404, missing, []byte(strings.Replace(problem, "{", `{"planted":1,`, 1))}, "planted"},
		{"another code", "GET", path + "/status", "", answer{404, missing, []byte(strings.Replace(problem, "not_found", "gone", 1))}, "code"},
		{"another status", "POST", "/exports/csv", "{}", answer{201, headers(), []byte(`{"valid":true}`)}, "no answer 201"},
		{"another media type", "POST", "/exports/csv", "{}", answer{200, headers("Content-Type", "text/plain"), []byte(`{"valid":true}`)}, "Content-Type"},
		{"a header more", "POST", "/exports/csv", "{}", answer{200, headers("X-Planted", "1"), []byte(`{"valid":true}`)}, "X-Planted"},
		{"a header's value", "POST", "/exports/csv", "{}", answer{200, headers("Cache-Control", "public"), []byte(`{"valid":true}`)}, "Cache-Control"},
		{"a body where there is none", "DELETE", path, "", answer{204, headers(), []byte("x")}, "no body"},
		{"a right HEAD", "HEAD", path + "/download", "", answer{200, file, nil}, ""},
		{"a HEAD without a header", "HEAD", path + "/download", "", answer{200, noBytes, nil}, "X-Export-Bytes"},
		{"an unknown field that is accepted", "POST", "/exports/csv", `{"x":1}`, answer{200, headers(), []byte(`{"valid":true}`)}, "isn't refused"},
		{"an id that is accepted", "DELETE", "/exports/42", "", answer{204, headers(), nil}, "isn't refused"},
		{"an unknown route that answers", "GET", "/nothing", "", answer{200, headers(), nil}, "no such operation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, shared.BaseURL+tt.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if tt.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			err = c.check(r, tt.body, tt.answer)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
		})
	}
}
