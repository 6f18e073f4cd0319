package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/gateway"
	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/template"
)

const internal = `{"message":"Internal server error"}`

// failures are the ways to an answer of API Gateway's own, by their type.
var failures = map[string]struct {
	typ    string
	path   string
	body   string
	invoke gateway.Invoke
}{
	"unknown route": {typ: "MISSING_AUTHENTICATION_TOKEN", path: "/nothing"},
	"wrong method":  {typ: "MISSING_AUTHENTICATION_TOKEN", path: "/exports/1/status"},
	"too large":     {typ: "REQUEST_TOO_LARGE", path: "/exports/csv", body: strings.Repeat("x", 10*1024*1024+1)},
	"too large for Lambda": {typ: "REQUEST_TOO_LARGE", path: "/exports/csv", invoke: func(context.Context, string, []byte) (lambda.Result, error) {
		return lambda.Result{}, &lambda.Error{Status: 413, Code: "RequestTooLargeException"}
	}},
	"function error": {typ: "DEFAULT_5XX", path: "/exports/csv", invoke: func(context.Context, string, []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(`{"errorMessage":"secret"}`), FunctionError: "Unhandled"}, nil
	}},
	"malformed answer": {typ: "DEFAULT_5XX", path: "/exports/csv", invoke: func(context.Context, string, []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(`{"status":200}`)}, nil
	}},
	"throttled": {typ: "INTEGRATION_FAILURE", path: "/exports/csv", invoke: func(context.Context, string, []byte) (lambda.Result, error) {
		return lambda.Result{}, &lambda.Error{Status: 429, Code: "TooManyRequestsException"}
	}},
	"no such function": {typ: "INTEGRATION_FAILURE", path: "/exports/csv", invoke: func(context.Context, string, []byte) (lambda.Result, error) {
		return lambda.Result{}, &lambda.Error{Status: 404, Code: "ResourceNotFoundException"}
	}},
	"timeout": {typ: "INTEGRATION_TIMEOUT", path: "/exports/csv", invoke: func(ctx context.Context, _ string, _ []byte) (lambda.Result, error) {
		<-ctx.Done()
		return lambda.Result{}, ctx.Err()
	}},
}

// fail sends a POST that ends in the answer of a failure.
func fail(t *testing.T, name string, responses map[string]template.GatewayResponse) reply {
	t.Helper()
	f := failures[name]
	url, calls := serve(t, gateway.Config{Invoke: f.invoke, Timeout: 50 * time.Millisecond, Responses: responses}, ok)
	resp := send(t, "POST", url+f.path, f.body, nil)
	if len(*calls) != 0 {
		t.Errorf("%d calls of a function", len(*calls))
	}
	if resp.header.Get("X-Amzn-RequestId") == "" || resp.header.Get("X-Amzn-ErrorType") == "" {
		t.Errorf("headers %v", resp.header)
	}
	return resp
}

func TestSelf_defaults(t *testing.T) {
	want := map[string]struct {
		status int
		body   string
	}{
		"unknown route":        {403, `{"message":"Missing Authentication Token"}`},
		"wrong method":         {403, `{"message":"Missing Authentication Token"}`},
		"too large":            {413, `{"message":"Request Too Long"}`},
		"too large for Lambda": {413, `{"message":"Request Too Long"}`},
		"function error":       {502, internal},
		"malformed answer":     {502, internal},
		"throttled":            {500, internal},
		"no such function":     {500, internal},
		"timeout":              {504, `{"message":"Endpoint request timed out"}`},
	}
	for name := range failures {
		t.Run(name, func(t *testing.T) {
			resp := fail(t, name, nil)
			if resp.status != want[name].status || resp.body != want[name].body || resp.header.Get("Content-Type") != "application/json" {
				t.Errorf("%d: %q", resp.status, resp.body)
			}
		})
	}
}

func TestSelf_responses(t *testing.T) {
	headers := map[string]string{"Content-Type": "text/plain", "Retry-After": "7"}
	const body = `$context.requestId $context.error.responseType $context.error.message $context.error.messageString $context.httpMethod $context.path`
	tests := map[string]struct {
		failure   string
		responses map[string]template.GatewayResponse
		status    int
		body      string // without the request's id
	}{
		"own": {
			"unknown route",
			map[string]template.GatewayResponse{"MISSING_AUTHENTICATION_TOKEN": {Status: 404, Body: body, Headers: headers}, "DEFAULT_4XX": {Status: 418}},
			404, ` MISSING_AUTHENTICATION_TOKEN Missing Authentication Token "Missing Authentication Token" POST /nothing`,
		},
		"default of the class": {
			"unknown route",
			map[string]template.GatewayResponse{"DEFAULT_4XX": {Status: 418, Body: body, Headers: headers}, "DEFAULT_5XX": {Status: 599}},
			418, ` MISSING_AUTHENTICATION_TOKEN Missing Authentication Token "Missing Authentication Token" POST /nothing`,
		},
		"default of the other class": {
			"throttled",
			map[string]template.GatewayResponse{"DEFAULT_4XX": {Status: 418}, "DEFAULT_5XX": {Status: 599, Body: body, Headers: headers}},
			599, ` INTEGRATION_FAILURE Internal server error "Internal server error" POST /exports/csv`,
		},
		"default without a status": {
			"unknown route",
			map[string]template.GatewayResponse{"DEFAULT_4XX": {Body: "$context.requestId$context.stage.", Headers: headers}},
			403, `.`,
		},
		"default without a body": {
			"unknown route",
			map[string]template.GatewayResponse{"DEFAULT_4XX": {Headers: headers}},
			403, `{"message":"Missing Authentication Token"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp := fail(t, tt.failure, tt.responses)
			got := strings.TrimPrefix(resp.body, resp.header.Get("X-Amzn-RequestId"))
			if resp.status != tt.status || got != tt.body {
				t.Errorf("%d: %q, want %d: %q", resp.status, got, tt.status, tt.body)
			}
			if resp.header.Get("Content-Type") != "text/plain" || resp.header.Get("Retry-After") != "7" {
				t.Errorf("headers %v", resp.header)
			}
		})
	}
}

// What the project's API answers by itself looks like what its functions answer.
func TestSelf_projectTemplate(t *testing.T) {
	stack, err := template.Load("../../../template.yaml", template.Options{StackName: "Local", QueueURL: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		status     int
		code       string
		retryAfter string
	}{
		"unknown route":        {404, "not_found", ""},
		"wrong method":         {404, "not_found", ""},
		"too large":            {413, "payload_too_large", ""},
		"too large for Lambda": {413, "payload_too_large", ""},
		"function error":       {500, "internal", ""},
		"malformed answer":     {500, "internal", ""},
		"throttled":            {503, "unavailable", "5"},
		"no such function":     {503, "unavailable", "5"},
		"timeout":              {503, "unavailable", "5"},
	}
	for name := range failures {
		t.Run(name, func(t *testing.T) {
			resp := fail(t, name, stack.GatewayResponses)
			var got map[string]any
			if err := json.Unmarshal([]byte(resp.body), &got); err != nil {
				t.Fatalf("%v: %s", err, resp.body)
			}
			detail := got["detail"]
			if diff := cmp.Diff(map[string]any{
				"type": "about:blank", "title": http.StatusText(resp.status), "status": float64(want[name].status), "detail": detail,
				"code": want[name].code, "requestId": resp.header.Get("X-Amzn-RequestId"), "error": detail,
			}, got); diff != "" || detail == "" || resp.status != want[name].status {
				t.Errorf("%d (-want +got):\n%s", resp.status, diff)
			}
			h := resp.header
			if h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" || h.Get("Retry-After") != want[name].retryAfter {
				t.Errorf("headers %v", h)
			}
		})
	}
}
