package console

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/goccy/go-yaml"
)

func errorCases() []useCase {
	return []useCase{
		{"wrong values", wrongValues},
		{"every error of a request", everyError},
		{"every failure of an export", everyFailure},
		{"a failed export", failedExport},
		{"service away", serviceAway},
		{"answer lost", answerLost},
		{"answer breaks off", answerBreaksOff},
		{"half a date", halfADate},
		{"answer to a button stays", answerStays},
	}
}

// wrongValues marks each wrong field, says what to change, and makes nothing.
func wrongValues(v *visit) {
	v.open()
	v.fill("#filter-country_code", "US\nde")
	v.says("#problem-filter-country_code", "two capital letters") // by itself, before anything is sent
	v.fill("#filter-lifetime_value_min", "much")
	v.choose("#filter-signup_date_from", "2024-12-31")
	v.choose("#filter-signup_date_to", "2024-01-01")
	v.fill("#filter-signup_date_to-time", "25:00")
	v.press("#columns-group summary")
	v.press("#no-columns")
	v.press("#columns-group summary")
	v.press("#format-group summary")
	v.fill("#fileName", "a/b.csv")
	v.press("#create")
	v.says("#form-problem", "Change what is marked")
	for _, place := range []string{"filter-country_code", "filter-lifetime_value_min", "filter-signup_date_to", "columns", "fileName"} {
		v.see("#problem-" + place)
	}
	if !js[bool](v, "document.activeElement.id === 'filter-country_code' && document.activeElement.getAttribute('aria-invalid') === 'true'") {
		v.errorf("the keyboard isn't at the first wrong field")
	}
	v.picture("wrong-values")
	v.accessible("with wrong values")
	v.see("#none")
	if n := v.exports(); n != 0 {
		v.errorf("%d exports were made of wrong values", n)
	}
}

// codes reads a list of codes from the contract, by the way to it.
func (v *visit) codes(path string) []string {
	text, err := os.ReadFile(v.Contract)
	v.must(err)
	at, err := yaml.PathString(path)
	v.must(err)
	var codes []*string
	v.must(at.Read(strings.NewReader(string(text)), &codes))
	var known []string
	for _, code := range codes {
		if code != nil { // null: no error
			known = append(known, *code)
		}
	}
	if len(known) < 5 {
		v.fatalf("%s has only %v", path, known)
	}
	return known
}

// everyError has the service answer a create by each error of the contract.
func everyError(v *visit) {
	v.open()
	for _, code := range v.codes("$.components.schemas.ErrorCode.enum") {
		status := 400
		switch code {
		case "unauthenticated": // see sign-in
			continue
		case "internal":
			status = 500
		case "unavailable":
			status = 503
		}
		detail := "The words for " + code + "."
		v.front.answerWith(answer{
			method: "POST", path: "/exports/csv", times: 1, status: status, mediaType: "application/problem+json",
			body: fmt.Sprintf(`{"type":"about:blank","title":"x","status":%d,"detail":%q,"code":%q,"requestId":"the-request","error":%q}`, status, detail, code, detail),
		})
		v.press("#create")
		v.says("#form-problem", detail)
		if advice := js[string](v, "document.querySelector('#form-problem p:last-child').innerText"); advice == detail || len(advice) < 10 {
			v.errorf("nothing says what to do about %s", code)
		}
		if shown := strings.Contains(v.text("#form-problem"), "the-request"); shown != (status >= 500) {
			v.errorf("%s: the request id is shown: %v", code, shown)
		}
	}
	v.front.answerWith(answer{method: "POST", path: "/exports/csv", times: 1, status: 502, mediaType: "text/html", body: "<h1>Bad gateway</h1>"})
	v.press("#create")
	v.says("#form-problem", "The service answered 502.")
	v.picture("error")
	v.see("#none")
}

// everyFailure shows failed exports, one with each code of the contract.
func everyFailure(v *visit) {
	codes := v.codes("$.components.schemas.Export.properties.errorCode.enum")
	var list []string
	for i, code := range codes {
		list = append(list, fmt.Sprintf(`{"exportId":"019abcde-1234-7000-8000-0000000000%02d","status":"failed","phase":null,"done":true,"dataset":"users",
			"request":{"filters":{},"columns":null,"format":{"delimiter":",","quote":"\"","null":"","header":true,"bom":false,"lineEnding":"lf","formulaGuard":false,"compression":"gzip"},"fileName":null,"maxRowsPerFile":null,"destination":null},
			"progress":{"totalRows":null,"processedRows":0,"percentage":0,"rowsPerSecond":0,"secondsLeft":null},"queuePosition":null,"error":"The words for %[2]s.","errorCode":%[2]q,
			"file":null,"files":null,"consistency":null,"order":null,"attempts":1,"createdAt":"2026-11-23T20:15:%02[1]d.000Z","startedAt":null,"completedAt":"2026-11-23T20:16:00.000Z","expiresAt":null}`, i, code))
	}
	v.front.answerWith(answer{
		method: "GET", path: "/exports", times: -1, status: 200, mediaType: "application/json",
		body: `{"exports":[` + strings.Join(list, ",") + `],"nextPageToken":null}`,
	})
	v.open()
	for i, code := range codes {
		place := fmt.Sprintf("li[data-id='019abcde-1234-7000-8000-0000000000%02d']", i)
		v.says(place+" .problem", "The words for "+code+".")
		if n := js[int](v, fmt.Sprintf("document.querySelectorAll(%q).length", place+" .problem p")); n != 2 {
			v.errorf("nothing says what to do about %s", code)
		}
		v.see(place + " [data-do=retry]")
	}
	v.picture("failures")
	v.accessible("with failed exports")
}

// failedExport is a real one: its table isn't there.
func failedExport(v *visit) {
	v.open()
	v.choose("#dataset", "gone")
	v.says("#estimate", "No estimate now")
	v.press("#create")
	v.status("failed")
	v.says(card(1)+" .problem", "Tell whoever runs this service")
	v.see(card(1) + " [data-do=retry]")
	v.press(card(1) + " [data-do=retry]")
	v.says(card(2)+" .badge", "failed")
	v.status("failed")
}

// serviceAway says that the list isn't up to date, and mends itself.
func serviceAway(v *visit) {
	v.open()
	v.makes()
	v.front.answerWith(answer{method: "GET", path: "/exports", times: -1})
	v.choose("#status-filter", "completed") // asks at once
	v.says("#banner", "The service can’t be reached")
	v.picture("away")
	v.accessible("without the service")
	v.front.forget()
	v.wait("the page mends itself", "document.querySelector('#banner').hidden")
	v.status("completed")
}

// answerLost sends a create again whose answer was lost: that is one export.
func answerLost(v *visit) {
	v.createsOnceAfter(answer{method: "POST", path: "/exports/csv", times: 2, pass: true}) // the browser itself tries twice
}

// answerBreaksOff is answerLost, but for the beginning of the answer.
func answerBreaksOff(v *visit) {
	v.createsOnceAfter(answer{method: "POST", path: "/exports/csv", times: 1, half: true})
}

// createsOnceAfter sends a create again that was taken, and answered so.
func (v *visit) createsOnceAfter(a answer) {
	v.open()
	v.says("#estimate", "About ")
	v.front.answerWith(a)
	v.press("#create")
	v.says("#form-problem", "The service can’t be reached")
	v.makes()
	if n := v.exports(); n != 1 {
		v.errorf("a repeated request made %d exports", n)
	}
}

// exports is how many exports the visitor has, by the service's own word.
func (v *visit) exports() int {
	var list struct{ Exports []any }
	v.ask("GET", "/exports", "", &list)
	return len(list.Exports)
}

// halfADate is nothing to the browser, and must not mean all rows.
func halfADate(v *visit) {
	v.open()
	v.says("#estimate", "About ")
	v.must(chromedp.Do(v.ctx, chromedp.SendKeys("#filter-signup_date_from", "0203")))
	v.press("#create")
	v.see("#problem-filter-signup_date_from")
	v.choose("#dataset", "orders")
	v.must(chromedp.Do(v.ctx, chromedp.SendKeys("#filter-ordered_on_to", "12")))
	v.press("#create")
	v.see("#problem-filter-ordered_on_to")
	if n := v.exports(); n != 0 {
		v.errorf("%d exports were made of half a date", n)
	}
}

// answerStays has the list asked for again and again while a failed export's
// card says why it failed, and why it can't be tried again now.
func answerStays(v *visit) {
	v.open()
	v.choose("#dataset", "gone")
	v.press("#create")
	v.status("failed")
	failed := fmt.Sprintf("li[data-id='%s']", v.newest())
	v.choose("#dataset", "users")
	defer v.slow(slowRate)()
	v.press("#create")
	v.says(card(1)+" .facts", " of ")
	js[bool](v, fmt.Sprintf("(p => { p.marked = true; return true })(document.querySelector(%q))", failed+" .why p"))
	v.front.answerWith(answer{
		method: "POST", path: js[string](v, fmt.Sprintf("'/exports/' + document.querySelector(%q).dataset.id + '/retry'", failed)), times: 1,
		status: 429, mediaType: "application/problem+json", body: `{"status":429,"detail":"Too many at once.","code":"too_many_exports"}`, retryAfter: "5",
	})
	v.press(failed + " [data-do=retry]")
	v.says(failed+" .answered", "Too many at once.")
	time.Sleep(3 * time.Second) // three looks at the list
	v.says(failed+" .answered", "Too many at once.")
	if !js[bool](v, fmt.Sprintf("document.querySelector(%q).marked === true", failed+" .why p")) {
		v.errorf("the reason of a failure is written anew at each look, and so read out")
	}
}
