package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// contract is the service's OpenAPI document, which every request and answer
// of these tests is checked against.
type contract struct {
	text []byte
	doc  *openapi3.T
}

// theContract is the document as the shared stack serves it.
var theContract = sync.OnceValues(func() (contract, error) { return readContract(shared.BaseURL) })

func readContract(baseURL string) (c contract, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/openapi.yaml", http.NoBody)
	if err != nil {
		return c, err
	}
	resp, err := browser.Do(r)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	if c.text, err = io.ReadAll(resp.Body); err != nil {
		return c, err
	}
	if resp.StatusCode != http.StatusOK {
		return c, fmt.Errorf("GET /openapi.yaml: %s\n%s", resp.Status, c.text)
	}
	loader := openapi3.NewLoader()
	if c.doc, err = loader.LoadFromData(c.text); err != nil {
		return c, fmt.Errorf("load openapi.yaml: %w", err)
	}
	return c, c.doc.Validate(loader.Context)
}

// checkContract checks a request to the stack at baseURL and its answer
// against the document:
//   - an answer is a documented one: its status, headers and body;
//   - a request that the document forbids is answered by a 4xx;
//   - a request to a route that the document doesn't have is answered by a 404.
//
// What goes to other servers, S3 above all, is not the document's.
func checkContract(t *testing.T, baseURL string, r *http.Request, body string, a answer) {
	t.Helper()
	if "http://"+r.URL.Host != baseURL {
		return
	}
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.check(r, body, a); err != nil {
		reason, _, _ := strings.Cut(err.Error(), "\nSchema:") // the value follows below, the schema is in the document
		t.Errorf("the contract is broken: %s\n\n%s %s\n%s\n%s\n\n%d\n%s\n%s",
			reason, r.Method, r.URL, printed(r.Header), shortened(body), a.status, printed(a.header), shortened(string(a.body)))
	}
}

func init() { // the console's page is a text as any
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.RegisteredBodyDecoder("text/plain"))
}

func (c contract) check(r *http.Request, body string, a answer) error {
	route, parameters := c.find(r)
	if route == nil {
		if a.status != http.StatusNotFound {
			return errors.New("there is no such operation, and the answer isn't a 404")
		}
		return nil
	}
	sent := r.Clone(context.Background())
	sent.Body = io.NopCloser(strings.NewReader(body))
	request := &openapi3filter.RequestValidationInput{
		Request: sent, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	}
	forbidden := openapi3filter.ValidateRequest(context.Background(), request)
	if forbidden != nil && (a.status < 400 || a.status > 499) {
		return fmt.Errorf("the request isn't refused, but %w", forbidden)
	}
	return c.checkAnswer(request, a)
}

func (c contract) checkAnswer(request *openapi3filter.RequestValidationInput, a answer) error {
	documented := request.Route.Operation.Responses.Status(a.status)
	if documented == nil {
		return fmt.Errorf("%s %s has no answer %d", request.Route.Method, request.Route.Path, a.status)
	}
	known := slices.Clone(ownHeaders)
	if os.Getenv("FUNCTIONS") == "sam" { // which answers everything as it answers a preflight
		known = append(known, "Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Max-Age")
	}
	for name := range documented.Value.Headers {
		known = append(known, http.CanonicalHeaderKey(name))
	}
	for name := range a.header {
		if !slices.Contains(known, name) {
			return fmt.Errorf("the answer %d has no header %s", a.status, name)
		}
	}
	if len(documented.Value.Content) == 0 && len(a.body) > 0 {
		return fmt.Errorf("the answer %d has no body", a.status)
	}
	asGet := *request // the validator looks at no answer to HEAD
	asGet.Request = request.Request.Clone(context.Background())
	asGet.Request.Method = http.MethodGet
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &asGet, Status: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(string(a.body))),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

// ownHeaders are those of HTTP and of API Gateway, which no operation lists.
// The last two stand in the document's text: a deployment has them on every answer, or on none.
var ownHeaders = []string{
	"Server", "Content-Type", "Content-Length", "Date", "X-Amzn-Requestid", "X-Amzn-Errortype",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers",
}

// find returns the document's operation for a request, with its path
// parameters. As in API Gateway, a literal part of a path wins over a
// parameter, and every route also stands below the stage.
func (c contract) find(r *http.Request) (*routers.Route, map[string]string) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/v1/")
	given := strings.Split(strings.TrimPrefix(path, "/"), "/")
	best, parameters := "", map[string]string(nil)
	if slices.Contains([]string{"/", "/v1", "/v1/"}, r.URL.EscapedPath()) {
		best = "/"
	}
	for _, candidate := range c.doc.Paths.InMatchingOrder() {
		if found, ok := match(strings.Split(strings.TrimPrefix(candidate, "/"), "/"), given); ok {
			best, parameters = candidate, found
			break
		}
	}
	item := c.doc.Paths.Value(best)
	if item == nil || item.GetOperation(r.Method) == nil {
		return nil, nil
	}
	return &routers.Route{Spec: c.doc, Path: best, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}, parameters
}

func match(route, given []string) (parameters map[string]string, ok bool) {
	if len(route) != len(given) {
		return nil, false
	}
	parameters = map[string]string{}
	for i, part := range route {
		text, err := url.PathUnescape(given[i])
		name, isParameter := strings.CutPrefix(part, "{")
		switch {
		case err != nil, text == "", !isParameter && text != part:
			return nil, false
		case isParameter:
			parameters[strings.TrimSuffix(name, "}")] = text
		}
	}
	return parameters, true
}

func printed(h http.Header) string {
	var text strings.Builder
	_ = h.Write(&text) // into memory
	return strings.ReplaceAll(text.String(), "\r\n", "\n")
}

func shortened(body string) string {
	if len(body) > 4000 {
		return body[:4000] + "…"
	}
	return body
}
