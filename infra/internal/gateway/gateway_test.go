package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/gateway"
	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/template"
)

var routes = []template.Route{
	{Function: "Get", Method: "GET", Path: "/exports/{id}", Stage: "v1"},
	{Function: "List", Method: "GET", Path: "/exports/csv", Stage: "v1"},
	{Function: "Create", Method: "POST", Path: "/exports/csv", Stage: "v1"},
	{Function: "Status", Method: "GET", Path: "/exports/{id}/status", Stage: "v1"},
	{Function: "Rest", Method: "ANY", Path: "/files/{proxy+}", Stage: "v1"},
	{Function: "Root", Method: "GET", Path: "/", Stage: "v1"},
}

// call is what a function was given.
type call struct {
	function string
	event    events.APIGatewayProxyRequest
}

// serve starts a gateway before a function that notes its calls and answers with payload.
func serve(t *testing.T, config gateway.Config, payload string) (url string, calls *[]call) {
	t.Helper()
	calls = &[]call{}
	config.Routes, config.AccountID, config.APIID = routes, "000000000000", "api"
	if config.Invoke == nil {
		config.Invoke = func(_ context.Context, function string, in []byte) (lambda.Result, error) {
			c := call{function: function}
			if err := json.Unmarshal(in, &c.event); err != nil {
				t.Error(err)
			}
			*calls = append(*calls, c)
			return lambda.Result{Payload: []byte(payload)}, nil
		}
	}
	server := httptest.NewServer(gateway.New(config))
	t.Cleanup(server.Close)
	return server.URL, calls
}

// reply is a response that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, method, url, body string, header http.Header) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

const ok = `{"statusCode":200}`

func TestRoutes(t *testing.T) {
	url, calls := serve(t, gateway.Config{}, ok)
	tests := map[string]struct {
		method, path string
		function     string // empty: unknown route
		parameters   map[string]string
		contextPath  string
	}{
		"parameter":          {"GET", "/exports/42/status", "Status", map[string]string{"id": "42"}, "/exports/42/status"},
		"below the stage":    {"GET", "/v1/exports/42/status", "Status", map[string]string{"id": "42"}, "/v1/exports/42/status"},
		"literal wins":       {"GET", "/exports/csv", "List", nil, "/exports/csv"},
		"by method":          {"POST", "/v1/exports/csv", "Create", nil, "/v1/exports/csv"},
		"decoded once":       {"GET", "/exports/a%20b%252Fc", "Get", map[string]string{"id": "a b%2Fc"}, "/exports/a b%2Fc"},
		"escaped slash":      {"GET", "/exports/a%2Fb", "Get", map[string]string{"id": "a/b"}, "/exports/a/b"},
		"greedy":             {"DELETE", "/files/a/b/c", "Rest", map[string]string{"proxy": "a/b/c"}, "/files/a/b/c"},
		"root":               {"GET", "/", "Root", nil, "/"},
		"root of the stage":  {"GET", "/v1", "Root", nil, "/v1/"},
		"with a slash":       {"GET", "/v1/", "Root", nil, "/v1/"},
		"another's slash":    {"GET", "/v1/exports/csv/", "", nil, ""},
		"unknown":            {"GET", "/nothing", "", nil, ""},
		"unknown stage":      {"GET", "/v2/exports/csv", "", nil, ""},
		"unknown method":     {"DELETE", "/exports/csv", "", nil, ""},
		"no HEAD by itself":  {"HEAD", "/exports/csv", "", nil, ""},
		"no OPTIONS":         {"OPTIONS", "/exports/csv", "", nil, ""},
		"empty parameter":    {"GET", "/exports//status", "", nil, ""},
		"greedy is not none": {"GET", "/files/", "", nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			*calls = nil
			resp := send(t, tt.method, url+tt.path, "", nil)
			if tt.function == "" {
				wrong := tt.method != "HEAD" && resp.body != `{"message":"Missing Authentication Token"}`
				if resp.status != http.StatusForbidden || wrong || len(*calls) != 0 {
					t.Errorf("%d: %s; calls %v", resp.status, resp.body, *calls)
				}
				return
			}
			if len(*calls) != 1 {
				t.Fatalf("%d: %s; %d calls", resp.status, resp.body, len(*calls))
			}
			got := (*calls)[0]
			if got.function != tt.function || got.event.RequestContext.Path != tt.contextPath {
				t.Errorf("function %s, requestContext.path %s", got.function, got.event.RequestContext.Path)
			}
			if want := strings.TrimPrefix(tt.contextPath, "/v1"); got.event.Path != want {
				t.Errorf("path %q, want %q", got.event.Path, want)
			}
			if diff := cmp.Diff(tt.parameters, got.event.PathParameters); diff != "" {
				t.Errorf("path parameters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvent(t *testing.T) {
	url, calls := serve(t, gateway.Config{}, ok)
	send(t, "POST", url+"/v1/exports/csv?a=1&a=2&b=x%20y&c", `{"dataset":"users"}`,
		http.Header{"X-Many": {"one", "two"}, "User-Agent": {"test/1"}, "X-Forwarded-For": {"192.0.2.1"}})
	send(t, "POST", url+"/exports/csv", "\xff\x00", nil)
	event := (*calls)[0].event
	if event.Resource != "/exports/csv" || event.HTTPMethod != "POST" || event.Body != `{"dataset":"users"}` || event.IsBase64Encoded {
		t.Errorf("event %+v", event)
	}
	if diff := cmp.Diff(map[string]string{"a": "2", "b": "x y", "c": ""}, event.QueryStringParameters); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1", "2"}, event.MultiValueQueryStringParameters["a"]); diff != "" {
		t.Errorf("query values (-want +got):\n%s", diff)
	}
	host := strings.TrimPrefix(url, "http://")
	if event.Headers["X-Many"] != "two" || len(event.MultiValueHeaders["X-Many"]) != 2 || event.Headers["Host"] != host ||
		event.Headers["X-Forwarded-For"] != "192.0.2.1, 127.0.0.1" || event.Headers["X-Forwarded-Proto"] != "http" {
		t.Errorf("headers %v, %v", event.Headers, event.MultiValueHeaders)
	}
	c := event.RequestContext
	if c.Stage != "v1" || c.AccountID != "000000000000" || c.APIID != "api" || c.ResourcePath != "/exports/csv" || c.HTTPMethod != "POST" ||
		c.Identity.SourceIP != "127.0.0.1" || c.Identity.UserAgent != "test/1" || c.Protocol != "HTTP/1.1" || c.DomainName != host {
		t.Errorf("request context %+v", c)
	}
	if at := time.UnixMilli(c.RequestTimeEpoch); time.Since(at) > time.Minute || c.RequestTime != at.UTC().Format("02/Jan/2006:15:04:05 +0000") {
		t.Errorf("time %s, epoch %v", c.RequestTime, at)
	}
	second := (*calls)[1].event
	if second.Body != "/wA=" || !second.IsBase64Encoded || second.RequestContext.RequestID == c.RequestID {
		t.Errorf("event of a binary body %+v", second)
	}
}

func TestAnswer(t *testing.T) {
	tests := map[string]struct {
		payload string
		status  int
		body    string
		header  http.Header
	}{
		"plain":          {`{"statusCode":202,"body":"{}","headers":{"Location":"/x"}}`, 202, "{}", http.Header{"Location": {"/x"}, "Content-Type": {"application/json"}}},
		"redirect":       {`{"statusCode":302,"headers":{"location":"http://127.0.0.1/file"}}`, 302, "", http.Header{"Location": {"http://127.0.0.1/file"}}},
		"binary":         {`{"statusCode":200,"body":"/wA=","isBase64Encoded":true,"headers":{"content-type":"application/gzip"}}`, 200, "\xff\x00", http.Header{"Content-Type": {"application/gzip"}}},
		"many values":    {`{"statusCode":200,"headers":{"Set-Cookie":"b=2"},"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]}}`, 200, "", http.Header{"Set-Cookie": {"a=1", "b=2"}}},
		"wrong length":   {`{"statusCode":200,"body":"abc","headers":{"Content-Length":"99"}}`, 200, "abc", nil},
		"no content":     {`{"statusCode":204}`, 204, "", nil},
		"no status":      {`{"body":"x"}`, 502, internal, nil},
		"strange status": {`{"statusCode":42}`, 502, internal, nil},
		"unknown key":    {`{"statusCode":200,"color":"red"}`, 502, internal, nil},
		"body no text":   {`{"statusCode":200,"body":{}}`, 502, internal, nil},
		"bad base64":     {`{"statusCode":200,"body":"%","isBase64Encoded":true}`, 502, internal, nil},
		"no object":      {`"done"`, 502, internal, nil},
		"null":           {`null`, 502, internal, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url, _ := serve(t, gateway.Config{}, tt.payload)
			resp := send(t, "GET", url+"/exports/csv", "", nil)
			if resp.status != tt.status || resp.body != tt.body {
				t.Errorf("%d: %q", resp.status, resp.body)
			}
			for name, want := range tt.header {
				if diff := cmp.Diff(want, resp.header[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if resp.header.Get("X-Amzn-RequestId") == "" {
				t.Error("no request id")
			}
		})
	}
}
