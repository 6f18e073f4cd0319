package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// guardedDatasets are the users, of whom each caller may have those of his
// country and only some their addresses, and those of everywhere for a scope.
const guardedDatasets = `
datasets:
  - name: users
    relation: public.users
    key: [id]
    columns: [id, {name: mail, column: email, requires: pii}, country_code]
    rows: {column: country_code, claim: country}
    filters:
      - {column: country_code, type: text, by: [in]}
      - {column: email, name: mail, type: text, by: [prefix]}
  - {name: everywhere, relation: public.users, key: [id], columns: [id, country_code], requires: world}
`

// What a token says of its holder decides what he may export, whatever he asks
// for.
func TestRights(t *testing.T) {
	file := filepath.Join(t.TempDir(), "datasets.yaml")
	writeFile(t, file, guardedDatasets)
	g := newGuarded(t, "Datasets="+file, "AuthClaims=country")
	g.seed(t, smallRows)
	claim := func(subject, country, scope string) *local {
		return g.as(t, subject, map[string]any{"country": country, "scope": scope})
	}
	german, stranger := claim("anna", "DE", ""), g.as(t, "bert", nil)
	export := func(l *local, body string) string {
		t.Helper()
		s := decodeStatus(t, l.request(t, http.MethodPost, "/exports/csv", body), http.StatusAccepted)
		if done := l.follow(t, s.ExportID, time.Minute, nil); done.Status != "completed" {
			t.Fatalf("export of %s is %s", body, done.Status)
		}
		return string(l.download(t, s.ExportID))
	}
	for _, test := range []struct {
		name  string
		who   *local
		body  string
		query string
	}{
		{"own rows, no addresses", german, "", "SELECT id, country_code FROM users WHERE country_code = 'DE' ORDER BY id"},
		{"no filter widens them", german, `{"filters":{"country_code":["DE","US","FR"]}}`, "SELECT id, country_code FROM users WHERE country_code = 'DE' ORDER BY id"},
		{"another's rows are none", german, `{"filters":{"country_code":"US"}}`, "SELECT id, country_code FROM users WHERE false"},
		{"a claim with quotes", claim("carl", "' OR true --", ""), "", "SELECT id, country_code FROM users WHERE false"},
		{"two countries", g.as(t, "dora", map[string]any{"country": []string{"DE", "US"}}), "", "SELECT id, country_code FROM users WHERE country_code IN ('DE', 'US') ORDER BY id"},
		{"addresses", claim("emil", "US", "pii"), `{"columns":["mail"],"filters":{"mail_prefix":"u"}}`, "SELECT email AS mail FROM users WHERE country_code = 'US' AND email LIKE 'u%' ORDER BY id"},
		{"everywhere", g.as(t, "frida", map[string]any{"scope": "other world"}), `{"dataset":"everywhere"}`, "SELECT id, country_code FROM users ORDER BY id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := string(g.psql(t, "COPY ("+test.query+") TO STDOUT (FORMAT csv, HEADER)"))
			if got := export(test.who, test.body); got != want {
				t.Errorf("the file has %d bytes, want %d", len(got), len(want))
			}
		})
	}
	for name, test := range map[string]struct {
		who  *local
		body string
	}{
		"no claim":            {stranger, ""},
		"a column":            {german, `{"columns":["id","mail"]}`},
		"a filter by it":      {german, `{"filters":{"mail_prefix":"a"}}`},
		"a dataset":           {german, `{"dataset":"everywhere"}`},
		"an empty claim":      {claim("gert", "", ""), ""},
		"a claim of a number": {g.as(t, "hans", map[string]any{"country": map[string]any{"DE": true}}), ""},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			for _, path := range []string{"/exports/csv", "/exports/estimate"} {
				checkProblem(t, test.who.request(t, http.MethodPost, path, test.body), http.StatusForbidden, "forbidden")
			}
		})
	}
	t.Run("datasets", func(t *testing.T) {
		checkProblem(t, german.get(t, "/datasets/everywhere"), http.StatusForbidden, "forbidden")
		checkProblem(t, german.get(t, "/datasets/nowhere"), http.StatusNotFound, "not_found")
		var list struct{ Datasets []described }
		checkDescribed := func(who *local, want string) {
			t.Helper()
			if err := json.Unmarshal(who.get(t, "/datasets").body, &list); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, d := range list.Datasets {
				got += d.Name + ":"
				for _, c := range d.Columns {
					got += " " + c.Name
				}
				got += ";"
			}
			if got != want {
				t.Errorf("datasets %q, want %q", got, want)
			}
		}
		checkDescribed(german, "users: id country_code;")
		checkDescribed(stranger, "")
		checkDescribed(claim("emil", "US", "pii world"), "users: id mail country_code;everywhere: id country_code;")
	})
	t.Run("a retry has the rights of today", func(t *testing.T) {
		unlock := g.lockUsers(t)
		s := decodeStatus(t, german.request(t, http.MethodPost, "/exports/csv", ""), http.StatusAccepted)
		german.remove(t, s.ExportID)
		unlock()
		path := "/exports/" + s.ExportID + "/retry"
		checkProblem(t, g.as(t, "anna", nil).request(t, http.MethodPost, path, ""), http.StatusForbidden, "forbidden")
		moved := claim("anna", "US", "")
		again := decodeStatus(t, moved.request(t, http.MethodPost, path, ""), http.StatusAccepted)
		moved.follow(t, again.ExportID, time.Minute, nil)
		want := string(g.psql(t, "COPY (SELECT id, country_code FROM users WHERE country_code = 'US' ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"))
		if got := string(moved.download(t, again.ExportID)); got != want {
			t.Errorf("the file has %d bytes, want %d", len(got), len(want))
		}
	})
}
