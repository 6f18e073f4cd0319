package e2e

import (
	"net/http"
	"net/url"
	"strings"
)

// unknownID is the id of no export.
const unknownID = "01890a5d-ac96-774b-bcce-b302099a8057"

// badIDs asks each route that has an id for ids that no export has; known is
// an export's id.
func badIDs(known string) []badInput {
	malformed := []struct{ name, id string }{
		{"a number", "42"},
		{"a word", "status"},
		{"SQL", hostile},
		{"dots", ".."},
		{"a path", "../../health"},
		{"a space", " "},
		{"a zero byte", "\x00"},
		{"no ASCII", "ünïcode"},
		{"2,000 characters", strings.Repeat("a", 2000)},
		{"an id and a space", known + " "},
		{"an id and a digit", known + "0"},
		{"an id cut short", known[:35]},
		{"an id in capitals", strings.ToUpper(known)},
		{"an id in braces", "{" + known + "}"},
		{"an id as a URN", "urn:uuid:" + known},
		{"an id without hyphens", strings.ReplaceAll(known, "-", "")},
		{"an id with a letter that is no digit", "g" + known[1:]},
	}
	unknown := []struct{ name, id string }{
		{"an unknown id", unknownID},
		{"an unknown id of version 4", "c56a4180-65aa-42ec-a945-5fd21dec0538"},
		{"the id of zeros", "00000000-0000-0000-0000-000000000000"},
	}
	var cases []badInput
	for _, route := range []struct{ name, method, path string }{
		{"status", http.MethodGet, "/status"},
		{"download", http.MethodGet, "/download"},
		{"HEAD", http.MethodHead, "/download"},
		{"DELETE", http.MethodDelete, ""},
	} {
		for _, m := range malformed {
			cases = append(cases, badInput{
				route.name + " of " + m.name, route.method, "/exports/" + url.PathEscape(m.id) + route.path, "", nil,
				http.StatusBadRequest, "invalid_request",
				[]string{"id"},
			})
		}
		for _, u := range unknown {
			cases = append(cases, badInput{
				route.name + " of " + u.name, route.method, "/exports/" + u.id + route.path, "", nil, http.StatusNotFound, "not_found", nil,
			})
		}
	}
	return cases
}

// badRoutes are routes that there aren't, which API Gateway answers itself.
// Their names have no slash: it would look like a part of a part.
func badRoutes() []badInput {
	var cases []badInput
	for _, route := range []struct{ method, path string }{
		{http.MethodPost, "/"},
		{http.MethodGet, "/nothing"},
		{http.MethodGet, "/exports/csv"},
		{http.MethodGet, "/Health"},
		{http.MethodGet, "/exports/" + unknownID},
		{http.MethodGet, "/exports/" + unknownID + "/nothing"},
		{http.MethodGet, "/exports//status"},
		{http.MethodGet, "/exports/" + unknownID + "/status/more"},
		{http.MethodGet, "/v2/health"},
		{http.MethodGet, "/exports/%27%3B%20DROP%20TABLE%20users"},
		{http.MethodPost, "/exports"},
		{http.MethodPost, "/exports/" + unknownID + "/status"},
		{http.MethodPost, "/health"},
		{http.MethodPut, "/exports/csv"},
		{http.MethodPatch, "/exports/" + unknownID},
		{http.MethodDelete, "/exports"},
		{http.MethodDelete, "/exports/" + unknownID + "/download"},
		{http.MethodHead, "/exports/" + unknownID + "/status"},
		{"PROPFIND", "/health"},
	} {
		name := strings.Join(strings.FieldsFunc(strings.Replace(route.path, unknownID, "ID", 1), func(r rune) bool { return r == '/' }), " ")
		cases = append(cases, badInput{
			"no route " + route.method + " " + name, route.method, route.path, "", nil, http.StatusNotFound, "not_found", nil,
		})
	}
	return cases
}

// goodInput are requests that are right, at the edge of those above. None
// exports anything.
func goodInput() []badInput {
	valid := func(name, more string) badInput {
		return badInput{name: name, body: `{"validateOnly":true` + more + `}`}
	}
	cases := []badInput{
		valid("nothing else", ``),
		valid("empty filters", `,"filters":{}`),
		valid("dataset", `,"dataset":"users"`),
		valid("100 countries", `,"filters":{"country_code":[`+strings.Repeat(`"US",`, 99)+`"DE"]}`),
		valid("tier of a character", `,"filters":{"subscription_tier":"x"}`),
		valid("tier of 50 characters that are no ASCII", `,"filters":{"subscription_tier":"`+strings.Repeat("ä", 50)+`"}`),
		valid("least is greatest", `,"filters":{"lifetime_value_min":100.0,"lifetime_value_max":"100"}`),
		valid("30 digits", `,"filters":{"lifetime_value_min":`+strings.Repeat("1", 30)+`}`),
		valid("from is to", `,"filters":{"signup_date_from":"2024-01-31","signup_date_to":"2024-01-31"}`),
		valid("to is the end of from's day", `,"filters":{"signup_date_from":"2024-01-31T23:59:59.999999Z","signup_date_to":"2024-01-31"}`),
		valid("a leap day", `,"filters":{"signup_date_from":"2024-02-29"}`),
		valid("first and last year", `,"filters":{"signup_date_from":"0001-01-01","signup_date_to":"9999-12-30"}`),
		valid("empty format", `,"format":{}`),
		valid("text for NULL of 20 characters", `,"format":{"null":"`+strings.Repeat("ä", 20)+`"}`),
		valid("delimiter and quote swapped", `,"format":{"delimiter":"\"","quote":","}`),
		valid("delimiter and quote that don't show", `,"format":{"delimiter":"\u0001","quote":"\u007f"}`),
		valid("file name of 120 characters", `,"fileName":"`+strings.Repeat("ä", 113)+`.csv.gz"`),
		valid("file name of a character, not packed", `,"fileName":"x.csv","format":{"compression":"none"}`),
		valid("file name with spaces and signs", `,"fileName":"a – 'b' (100%, #1; $2 & c).csv.gz"`),
		{name: "body of 16 KiB", body: padded(16 << 10)},
		{name: "charset", body: padded(100), headers: []string{"Content-Type: application/json; charset=utf-8"}},
		{name: "content type in capitals", body: padded(100), headers: []string{"Content-Type: Application/JSON"}},
		{name: "white space around", body: " \t\r\n" + padded(100)},
	}
	return cases
}
