package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"
)

// filter is one filter of a request, and the SQL that it means, by hand.
type filter struct{ name, request, sql string }

var filters = []filter{
	{"country", `"country_code":["US","DE"]`, `country_code IN ('US', 'DE')`},
	{"tier", `"subscription_tier":"premium"`, `subscription_tier = 'premium'`},
	{"least value", `"lifetime_value_min":100.5`, `lifetime_value >= 100.5`},
	{"greatest value", `"lifetime_value_max":"20000.00"`, `lifetime_value <= 20000`},
	{"from", `"signup_date_from":"2021-03-01"`, `signup_date >= '2021-03-01 00:00:00+00'`},
	{"to", `"signup_date_to":"2024-12-31"`, `signup_date < '2025-01-01 00:00:00+00'`},
}

// Each filter alone, in its other forms, and all combinations of three.
func TestFilters(t *testing.T) {
	shared.seed(t, smallRows)
	cases := append([]filter{
		{"one country", `"country_code":"FR"`, `country_code = 'FR'`},
		{"tiers", `"subscription_tier":["free","enterprise"]`, `subscription_tier IN ('free', 'enterprise')`},
		{"to a moment", `"signup_date_to":"2023-06-01T12:00:00+02:00"`, `signup_date <= '2023-06-01 10:00:00+00'`},
		{"no row", `"country_code":"ZZ"`, `false`},
		{"SQL in a value", `"subscription_tier":"' OR '1'='1"`, `false`},
	}, filters...)
	for i := range filters {
		for j := range i {
			for k := range j {
				var c filter
				for _, f := range []filter{filters[i], filters[j], filters[k]} {
					c.name += " + " + f.name
					c.request += "," + f.request
					c.sql += " AND " + f.sql
				}
				cases = append(cases, filter{c.name[len(" + "):], c.request[len(","):], c.sql[len(" AND "):]})
			}
		}
	}
	matching := 0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := shared.psql(t, "COPY (SELECT * FROM users WHERE "+c.sql+" ORDER BY id) TO STDOUT (FORMAT csv, HEADER)")
			rows := atoi(t, shared.psql(t, "SELECT count(*) FROM users WHERE "+c.sql))
			shared.checkSelection(t, `{"filters":{`+c.request+`}}`, want, rows)
			if rows > 0 {
				matching++
			}
		})
	}
	if matching < len(cases)-3 {
		t.Errorf("only %d of %d cases match any row: they prove little", matching, len(cases))
	}
}

func TestColumns(t *testing.T) {
	shared.seed(t, smallRows)
	want := shared.psql(t, "COPY (SELECT email, id FROM users WHERE country_code = 'US' ORDER BY id) TO STDOUT (FORMAT csv, HEADER)")
	rows := atoi(t, shared.psql(t, "SELECT count(*) FROM users WHERE country_code = 'US'"))
	shared.checkSelection(t, `{"columns":["email","id"],"filters":{"country_code":"US"}}`, want, rows)
}

// checkSelection makes an export and compares its file and its status.
func (l *local) checkSelection(t *testing.T, request string, want []byte, rows int) {
	t.Helper()
	created := decodeStatus(t, l.request(t, http.MethodPost, "/exports/csv", request), http.StatusAccepted)
	done := l.follow(t, created.ExportID, time.Minute, nil)
	if done.Status != "completed" || done.Progress.ProcessedRows != rows || done.Progress.Percentage != 100 {
		t.Fatalf("status %+v, want %d rows", done, rows)
	}
	object := l.get(t, l.get(t, "/exports/"+done.ExportID+"/download").header.Get("Location"))
	if got := gunzip(t, object.body); !bytes.Equal(got, want) {
		t.Errorf("the file of %d bytes isn't psql's of %d bytes", len(got), len(want))
	}
}

// Bad filters and columns change nothing and are all named.
func TestFilters_problems(t *testing.T) {
	const hostile = `'; DROP TABLE users; --`
	before := shared.items(t, "owner#anonymous")["quota"]
	for name, tt := range map[string]struct{ body, fields string }{
		"duplicate key":           {`{"filters":{"country_code":"US","country_code":"DE"}}`, "filters.country_code"},
		"wrong type":              {`{"filters":{"country_code":7}}`, "filters.country_code"},
		"null":                    {`{"filters":{"country_code":null}}`, "filters.country_code"},
		"empty list":              {`{"filters":{"country_code":[]}}`, "filters.country_code"},
		"list for a bound":        {`{"filters":{"lifetime_value_min":[1,2]}}`, "filters.lifetime_value_min"},
		"unknown filter":          {`{"filters":{"age":5}}`, "filters.age"},
		"country's form":          {`{"filters":{"country_code":"usa"}}`, "filters.country_code"},
		"min above max":           {`{"filters":{"lifetime_value_min":2,"lifetime_value_max":1}}`, "filters.lifetime_value_max"},
		"from after to":           {`{"filters":{"signup_date_from":"2024-02-01","signup_date_to":"2024-01-31"}}`, "filters.signup_date_to"},
		"no such day":             {`{"filters":{"signup_date_from":"2024-02-30"}}`, "filters.signup_date_from"},
		"huge exponent":           {`{"filters":{"lifetime_value_min":1e400}}`, "filters.lifetime_value_min"},
		"forty digits":            {`{"filters":{"lifetime_value_min":` + strings.Repeat("1", 40) + `}}`, "filters.lifetime_value_min"},
		"SQL as a country":        {`{"filters":{"country_code":"` + hostile + `"}}`, "filters.country_code"},
		"SQL as a value":          {`{"filters":{"lifetime_value_min":"` + hostile + `"}}`, "filters.lifetime_value_min"},
		"SQL as a date":           {`{"filters":{"signup_date_to":"` + hostile + `"}}`, "filters.signup_date_to"},
		"SQL as a filter":         {`{"filters":{"` + hostile + `":1}}`, "filters." + hostile},
		"SQL as a column":         {`{"columns":["` + hostile + `"]}`, "columns"},
		"SQL as a dataset":        {`{"dataset":"` + hostile + `"}`, "dataset"},
		"column named twice":      {`{"columns":["id","id"]}`, "columns"},
		"no column":               {`{"columns":[]}`, "columns"},
		"everything wrong, named": {`{"limit":1,"filters":{"country_code":"x","age":1},"columns":["nope"]}`, "limit filters.country_code filters.age columns"},
	} {
		t.Run(name, func(t *testing.T) {
			fields := checkProblem(t, shared.request(t, http.MethodPost, "/exports/csv", tt.body), http.StatusBadRequest, "invalid_request")
			if got := strings.Join(fields, " "); got != tt.fields {
				t.Errorf("errors name %q, want %q", got, tt.fields)
			}
		})
	}
	if after := shared.items(t, "owner#anonymous")["quota"]; before["active"] != after["active"] {
		t.Errorf("active exports were %v and are %v", before["active"], after["active"])
	}
	if rows := atoi(t, shared.psql(t, "SELECT count(*) FROM users")); rows == 0 {
		t.Error("the users are gone")
	}
}

func TestValidateOnly(t *testing.T) {
	a := shared.request(t, http.MethodPost, "/exports/csv", `{"validateOnly":true,"filters":{"country_code":"US"}}`)
	var valid map[string]bool
	a.decode(t, http.StatusOK, "application/json", &valid)
	if !valid["valid"] || len(valid) != 1 {
		t.Errorf("answer %s", a.body)
	}
}
