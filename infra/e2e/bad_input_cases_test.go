package e2e

import (
	"fmt"
	"net/http"
	"strings"
)

// hostile is what a careless program would take into its SQL.
const hostile = `'; DROP TABLE users; --`

// create is a bad body of POST /exports/csv, and the fields that it gets wrong.
func create(name, body string, fields ...string) badInput {
	return badInput{name, http.MethodPost, "/exports/csv", body, nil, http.StatusBadRequest, "invalid_request", fields}
}

// filtered is a bad filter, and one field that it gets wrong.
func filtered(name, filters, field string) badInput {
	return create(name, `{"filters":{`+filters+`}}`, "filters."+field)
}

// badJSON are bodies that aren't one JSON object in UTF-8.
func badJSON() []badInput {
	const body = ""
	return []badInput{
		create("cut off", `{"dataset":"users"`, body),
		create("cut off in a string", `{"dataset":"use`, body),
		create("cut off in a word", `{"validateOnly":tr`, body),
		create("comma at the end", `{"dataset":"users",}`, body),
		create("no comma", `{"dataset":"users" "columns":["id"]}`, body),
		create("two values", `{} {}`, body),
		create("text after the value", `{}x`, body),
		create("zero byte after the value", "{}\x00", body),
		create("zero byte in a string", "{\"dataset\":\"us\x00ers\"}", body),
		create("line break in a string", "{\"dataset\":\"us\ners\"}", body),
		create("key without quotes", `{dataset:"users"}`, body),
		create("single quotes", `{'dataset':'users'}`, body),
		create("a comment", `{/* all */}`, body),
		create("a list", `[]`, body),
		create("a list of requests", `[{"dataset":"users"}]`, body),
		create("a string", `"users"`, body),
		create("a number", `5`, body),
		create("true", `true`, body),
		create("null", `null`, body),
		create("NaN", `{"filters":{"lifetime_value_min":NaN}}`, body),
		create("Infinity", `{"filters":{"lifetime_value_max":-Infinity}}`, body),
		create("number with a plus", `{"filters":{"lifetime_value_min":+5}}`, body),
		create("number with a leading zero", `{"filters":{"lifetime_value_min":05}}`, body),
		create("number that ends in its point", `{"filters":{"lifetime_value_min":5.}}`, body),
		create("hexadecimal number", `{"filters":{"lifetime_value_min":0x10}}`, body),
		create("no UTF-8", "{\"filters\":{\"subscription_tier\":\"\xff\"}}", body),
		create("UTF-8 of a surrogate", "{\"filters\":{\"subscription_tier\":\"\xed\xa0\x80\"}}", body),
		create("UTF-16", "{\x00}\x00", body),
		create("byte order mark", "\ufeff{}", body),
		create("nested 16,000 deep and cut off", strings.Repeat("[", 16_000), body),
		create("nested 8,000 deep in a filter", `{"filters":{"country_code":`+strings.Repeat("[", 8000)+strings.Repeat("]", 8000)+`}}`, "filters.country_code"),
		create("nested 2,000 deep in an unknown field", strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000), "a"),
	}
}

// badFields are wrong fields of the request and wrong columns.
func badFields() []badInput {
	cases := []badInput{
		create("a key twice", `{"dataset":"users","dataset":"users"}`, "dataset"),
		create("a key twice, once escaped", `{"dataset":"users","\u0064ataset":"users"}`, "dataset"),
		create("a key three times", `{"columns":["id"],"columns":["id"],"columns":["id"]}`, "columns", "columns"),
		create("filters twice", `{"filters":{},"filters":{}}`, "filters"),
		create("a filter twice", `{"filters":{"country_code":"US","country_code":"DE"}}`, "filters.country_code"),
		create("an unknown field twice", `{"x":1,"x":2}`, "x", "x"),
		create("an unknown field", `{"limit":5}`, "limit"),
		create("a field without a name", `{"":1}`, ""),
		create("a field in capitals", `{"Dataset":"users"}`, "Dataset"),
		create("an unknown dataset", `{"dataset":"pg_authid"}`, "dataset"),
		create("a dataset with its schema", `{"dataset":"public.users"}`, "dataset"),
		create("an empty dataset", `{"dataset":""}`, "dataset"),
		create("an unknown column", `{"columns":["id","password"]}`, "columns"),
		create("two unknown columns", `{"columns":["*","ctid"]}`, "columns", "columns"),
		create("a column twice", `{"columns":["id","email","id"]}`, "columns"),
		create("a column in capitals", `{"columns":["ID"]}`, "columns"),
		create("an unknown filter", `{"filters":{"age":5}}`, "filters.age"),
		create("a column that is no filter", `{"filters":{"lifetime_value":5}}`, "filters.lifetime_value"),
		create("everything wrong at once", `{"limit":1,"validateOnly":"yes","filters":{"country_code":"x","age":1,"lifetime_value_min":"a"},"columns":["nope"],"fileName":"x"}`,
			"limit", "validateOnly", "filters.country_code", "filters.age", "filters.lifetime_value_min", "columns", "fileName"),
		create("every form wrong at once", `{"dataset":1,"columns":2,"filters":3,"validateOnly":4,"format":5,"fileName":6}`,
			"dataset", "columns", "filters", "validateOnly", "format", "fileName"),
		create("null everywhere", `{"dataset":null,"columns":null,"filters":null,"validateOnly":null,"format":null,"fileName":null}`,
			"dataset", "columns", "filters", "validateOnly", "format", "fileName"),
	}
	for _, wrong := range []struct {
		field  string
		values []string
	}{
		{"dataset", []string{`7`, `true`, `[]`, `{}`, `null`, `["users"]`}},
		{"columns", []string{`"id"`, `{}`, `5`, `null`, `[]`, `[1]`, `["id",null]`, `[["id"]]`, `[""]`}},
		{"filters", []string{`[]`, `"country_code"`, `5`, `true`, `null`}},
		{"validateOnly", []string{`1`, `"true"`, `[]`, `null`}},
		{"format", []string{`"csv"`, `[]`, `5`, `true`, `null`}},
		{"maxRowsPerFile", []string{`99`, `0`, `-100`, `1000000001`, `100.5`, `"100"`, `1e400`, `true`, `null`, `[100]`}},
		{"destination", []string{`"finance"`, `7`, `true`, `null`, `[]`}},
		{"fileName", []string{`5`, `true`, `null`, `{}`, `["a.csv.gz"]`}},
	} {
		for _, value := range wrong.values {
			cases = append(cases, create(wrong.field+" is "+value, `{"`+wrong.field+`":`+value+`}`, wrong.field))
		}
	}
	for name, key := range map[string]string{"of 256 characters": strings.Repeat("k", 256), "with a blank": "a b", "that isn't ASCII": "schlüssel"} {
		wrong := create("an Idempotency-Key "+name, `{}`, "Idempotency-Key")
		wrong.headers = []string{"Idempotency-Key: " + key}
		cases = append(cases, wrong)
	}
	return cases
}

// badFilters are wrong values of each filter.
func badFilters() []badInput {
	codes := strings.Repeat(`"US",`, 100) + `"DE"`
	tiers := strings.Repeat(`"a",`, 100) + `"b"`
	cases := []badInput{
		filtered("101 countries", `"country_code":[`+codes+`]`, "country_code"),
		filtered("101 tiers", `"subscription_tier":[`+tiers+`]`, "subscription_tier"),
		filtered("one wrong country in a list", `"country_code":["US","DE","Fr"]`, "country_code"),
		filtered("tier of 51 characters", `"subscription_tier":"`+strings.Repeat("x", 51)+`"`, "subscription_tier"),
		filtered("tier of 51 characters that are no ASCII", `"subscription_tier":"`+strings.Repeat("ä", 51)+`"`, "subscription_tier"),
		filtered("number of 40 digits", `"lifetime_value_min":`+strings.Repeat("1", 40), "lifetime_value_min"),
		filtered("text of 40 digits", `"lifetime_value_max":"`+strings.Repeat("1", 40)+`"`, "lifetime_value_max"),
		filtered("number of 40 digits after the point", `"lifetime_value_min":0.`+strings.Repeat("1", 40), "lifetime_value_min"),
		filtered("number of 10,000 digits", `"lifetime_value_min":`+strings.Repeat("9", 10_000), "lifetime_value_min"),
		filtered("least above greatest", `"lifetime_value_min":2,"lifetime_value_max":1`, "lifetime_value_max"),
		filtered("least above greatest, as texts", `"lifetime_value_min":"10","lifetime_value_max":"9"`, "lifetime_value_max"),
		filtered("least above greatest, a number and a text", `"lifetime_value_max":"99.99","lifetime_value_min":99.999`, "lifetime_value_max"),
		filtered("least above greatest, negative", `"lifetime_value_min":-1,"lifetime_value_max":-2`, "lifetime_value_max"),
		filtered("least above greatest by less than a float tells", `"lifetime_value_min":100.00000000000000000001,"lifetime_value_max":100`, "lifetime_value_max"),
		filtered("from after to", `"signup_date_from":"2024-02-01","signup_date_to":"2024-01-31"`, "signup_date_to"),
		filtered("from after to, as times", `"signup_date_from":"2024-02-01T00:00:01Z","signup_date_to":"2024-02-01T00:00:00Z"`, "signup_date_to"),
		filtered("from after to, in two zones", `"signup_date_from":"2024-02-01T00:30:00Z","signup_date_to":"2024-02-01T01:00:00+01:00"`, "signup_date_to"),
		filtered("from after the day of to", `"signup_date_from":"2024-02-01T00:00:00Z","signup_date_to":"2024-01-31"`, "signup_date_to"),
		create("both ranges empty", `{"filters":{"lifetime_value_min":2,"lifetime_value_max":1,"signup_date_from":"2024-02-01","signup_date_to":"2024-01-31"}}`,
			"filters.lifetime_value_max", "filters.signup_date_to"),
	}
	texts := []string{`""`, `5`, `true`, `null`, `{}`, `[]`, `[1]`, `[null]`, `[["US"]]`, `[""]`, `"\u0000"`}
	decimals := []string{
		`true`, `null`, `{}`, `[]`, `[1,2]`, `1e400`, `1e2`, `1E2`, `-1e-2`, `""`, `"1e400"`, `"NaN"`, `"Infinity"`, `"-Infinity"`, `" 5"`, `"5 "`,
		`"+5"`, `"0x10"`, `"1,5"`, `"1_000"`, `"5."`, `".5"`, `"-"`, `"--5"`, `"1.2.3"`, `"٣"`, `"five"`, `"5\u0000"`,
	}
	times := []string{
		`true`, `null`, `{}`, `["2024-01-01"]`, `20240101`, `""`, `"now"`, `"infinity"`, `"2024-02-30"`, `"2023-02-29"`, `"2024-13-01"`, `"2024-00-10"`,
		`"2024-1-5"`, `"20240101"`, `"01/02/2024"`, `" 2024-01-01"`, `"2024-01-01T24:00:00Z"`, `"2024-01-01T12:60:00Z"`, `"2024-01-01T23:59:60Z"`,
		`"2024-01-01T12:00:00"`, `"2024-01-01T12:00Z"`, `"2024-01-01 12:00:00Z"`, `"2024-01-01T12:00:00+25:00"`, `"2024-01-01T12:00:00.0000001Z"`,
		`"2024-01-01T12:00:00,5Z"`, `"0000-01-01"`, `"10000-01-01"`, `"-2024-01-01"`, `"2024-01-01\u0000"`,
	}
	countries := []string{`"us"`, `"Us"`, `"USA"`, `"U"`, `"12"`, `"U1"`, `" US"`, `"US\n"`, `"ÄÖ"`, `"ＵＳ"`, `"U\u0301S"`}
	for _, wrong := range []struct {
		filter string
		values []string
	}{
		{"country_code", append(countries, texts...)},
		{"subscription_tier", texts},
		{"lifetime_value_min", decimals},
		{"lifetime_value_max", decimals},
		{"signup_date_from", times},
		{"signup_date_to", times},
	} {
		for _, value := range wrong.values {
			cases = append(cases, filtered(wrong.filter+" is "+value, `"`+wrong.filter+`":`+value, wrong.filter))
		}
	}
	return cases
}

// badSQL has SQL wherever a text can stand.
func badSQL() []badInput {
	const value = `"` + hostile + `"`
	return []badInput{
		create("SQL as the dataset", `{"dataset":`+value+`}`, "dataset"),
		create("SQL behind the dataset", `{"dataset":"users; DROP TABLE users"}`, "dataset"),
		create("SQL as a column", `{"columns":["id",`+value+`]}`, "columns"),
		create("SQL instead of a column", `{"columns":["(SELECT rolpassword FROM pg_authid LIMIT 1)"]}`, "columns"),
		create("SQL as a column in quotes", `{"columns":["id\"; DROP TABLE users; --"]}`, "columns"),
		create("SQL as a field", `{`+value+`:1}`, hostile),
		create("SQL as a filter", `{"filters":{`+value+`:1}}`, "filters."+hostile),
		create("SQL as the file name", `{"fileName":`+value+`}`, "fileName"),
		create("SQL in the format", `{"format":{"delimiter":`+value+`,"quote":`+value+`,"null":`+value+`,"lineEnding":`+value+`,"compression":`+value+`}}`,
			"format.delimiter", "format.quote", "format.null", "format.lineEnding", "format.compression"),
		create("SQL as an option of the format", `{"format":{`+value+`:1}}`, "format."+hostile),
		create("SQL for validateOnly", `{"validateOnly":`+value+`}`, "validateOnly"),
		filtered("SQL as a country", `"country_code":`+value, "country_code"),
		filtered("SQL in a list of countries", `"country_code":["US",`+value+`]`, "country_code"),
		filtered("SQL as a tier, too long", `"subscription_tier":"' UNION SELECT rolname, rolpassword FROM pg_authid; --"`, "subscription_tier"),
		filtered("SQL as the least value", `"lifetime_value_min":`+value, "lifetime_value_min"),
		filtered("SQL as the greatest value", `"lifetime_value_max":"0 OR 1=1"`, "lifetime_value_max"),
		filtered("SQL as from", `"signup_date_from":"2024-01-01' OR '1'='1"`, "signup_date_from"),
		filtered("SQL as to", `"signup_date_to":`+value, "signup_date_to"),
	}
}

// badBodies are too large, or not JSON by their type.
func badBodies() []badInput {
	var cases []badInput
	for _, tt := range []struct {
		name string
		size int
	}{{"body of 16 KiB and a byte", 16<<10 + 1}, {"body of 1 MB", 1_000_000}} {
		cases = append(cases, badInput{
			tt.name, http.MethodPost, "/exports/csv", padded(tt.size), nil, http.StatusRequestEntityTooLarge, "payload_too_large", nil,
		})
	}
	for _, kind := range []string{
		"text/csv", "text/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/problem+json", "json", "",
	} {
		cases = append(cases, badInput{
			fmt.Sprintf("content type %q", kind), http.MethodPost, "/exports/csv", `{"dataset":"users"}`,
			[]string{"Content-Type: " + kind},
			http.StatusUnsupportedMediaType, "unsupported_media_type", nil,
		})
	}
	return cases
}

// padded is a valid request of the given size in bytes that exports nothing.
func padded(size int) string {
	const request = `{"validateOnly":true}`
	return request + strings.Repeat(" ", size-len(request))
}
