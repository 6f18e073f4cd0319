package e2e

import (
	"bytes"
	"net/http"
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

// Columns are those asked for, in that order.
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
	if got := l.download(t, done.ExportID); !bytes.Equal(got, want) {
		t.Errorf("the file of %d bytes isn't psql's of %d bytes", len(got), len(want))
	}
}
