package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkProblem checks a problem document (RFC 9457), with every member that
// the service promises, and returns the fields that its errors name.
func checkProblem(t *testing.T, a answer, code int, name string) []string {
	t.Helper()
	var problem struct {
		Type, Title, Detail, Code, RequestID, Error string
		Status                                      int
		Errors                                      []map[string]string
	}
	a.decode(t, code, "application/problem+json", &problem)
	var members map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &members); err != nil {
		t.Fatal(err)
	}
	want := []string{"code", "detail", "error", "requestId", "status", "title", "type"}
	if name == "invalid_request" {
		want = slices.Insert(want, 3, "errors")
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(members))); diff != "" {
		t.Errorf("members of the problem (-want +got):\n%s", diff)
	}
	if problem.Status != code || problem.Code != name || problem.Type != "about:blank" || problem.Title != http.StatusText(code) {
		t.Errorf("problem %s, want status %d and code %s", a.body, code, name)
	}
	if problem.Detail == "" || problem.Error != problem.Detail || problem.RequestID == "" {
		t.Errorf("problem %s, want a detail, the same in error, and a requestId", a.body)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", got)
	}
	var fields []string
	for _, e := range problem.Errors {
		field, named := e["field"]
		if !named || e["message"] == "" || len(e) != 2 {
			t.Errorf("problem %s: want a field and a message in each of errors", a.body)
		}
		fields = append(fields, field)
	}
	if name == "invalid_request" && len(fields) == 0 {
		t.Errorf("problem %s names no field", a.body)
	}
	return fields
}
