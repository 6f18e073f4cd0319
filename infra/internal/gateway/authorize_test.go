package gateway_test

import (
	"context"
	"encoding/json"
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

// authorized serves one route behind an authorizer that answers with result,
// or fails. It returns what both functions were given.
func authorized(t *testing.T, result lambda.Result, failure error) (url string, asked *[]events.APIGatewayCustomAuthorizerRequestTypeRequest, called *[]events.APIGatewayProxyRequest) {
	t.Helper()
	asked, called = &[]events.APIGatewayCustomAuthorizerRequestTypeRequest{}, &[]events.APIGatewayProxyRequest{}
	server := httptest.NewServer(gateway.New(gateway.Config{
		Region: "eu-west-1", AccountID: "123456789012", APIID: "abc",
		Routes: []template.Route{{Function: "Get", Authorizer: "Authorize", Method: "GET", Path: "/exports/{id}", Stage: "v1"}},
		Invoke: func(_ context.Context, function string, payload []byte) (lambda.Result, error) {
			if function != "Authorize" {
				var e events.APIGatewayProxyRequest
				if err := json.Unmarshal(payload, &e); err != nil {
					t.Error(err)
				}
				*called = append(*called, e)
				return lambda.Result{Payload: []byte(ok)}, nil
			}
			var e events.APIGatewayCustomAuthorizerRequestTypeRequest
			if err := json.Unmarshal(payload, &e); err != nil {
				t.Error(err)
			}
			*asked = append(*asked, e)
			return result, failure
		},
	}))
	t.Cleanup(server.Close)
	return server.URL, asked, called
}

// policies with one or more statements, and the rest of an answer.
func decision(statements, more string) lambda.Result {
	return lambda.Result{Payload: []byte(`{"principalId":"p","policyDocument":{"Version":"2012-10-17","Statement":[` + statements + `]}` + more + `}`)}
}

const allowAll = `{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*"}`

func TestAuthorizer_event(t *testing.T) {
	url, asked, called := authorized(t, decision(allowAll, `,"context":{"owner":"o","count":7,"flag":true}`), nil)
	resp := send(t, "GET", url+"/v1/exports/a%20b?q=1&q=2", "", http.Header{"Authorization": {"one", "two"}})
	if resp.status != http.StatusOK || len(*asked) != 1 || len(*called) != 1 {
		t.Fatalf("status %d; the authorizer was asked %d times, the function called %d", resp.status, len(*asked), len(*called))
	}
	e := (*asked)[0]
	if e.Type != "REQUEST" || e.MethodArn != "arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET/exports/a b" || e.Resource != "/exports/{id}" ||
		e.Path != "/exports/a b" || e.HTTPMethod != "GET" || e.PathParameters["id"] != "a b" || e.Headers["Authorization"] != "two" ||
		!cmp.Equal(e.MultiValueHeaders["Authorization"], []string{"one", "two"}) || !cmp.Equal(e.MultiValueQueryStringParameters["q"], []string{"1", "2"}) ||
		e.RequestContext.Identity.SourceIP != "127.0.0.1" || e.RequestContext.Path != "/v1/exports/a b" || e.RequestContext.Stage != "v1" {
		t.Errorf("event %+v", e)
	}
	context := (*called)[0].RequestContext.Authorizer
	if _, ok := context["integrationLatency"].(float64); !ok {
		t.Errorf("no integrationLatency in %v", context)
	}
	delete(context, "integrationLatency")
	if diff := cmp.Diff(map[string]any{"principalId": "p", "owner": "o", "count": "7", "flag": "true"}, context); diff != "" {
		t.Errorf("requestContext.authorizer (-want +got):\n%s", diff)
	}
	if got := (*called)[0].RequestContext.RequestID; got != e.RequestContext.RequestID || got == "" {
		t.Errorf("requestId %s, the authorizer's %s", got, e.RequestContext.RequestID)
	}
	send(t, "GET", url+"/v1/exports/a%20b?q=1&q=2", "", http.Header{"Authorization": {"one", "two"}})
	if len(*asked) != 2 {
		t.Errorf("two equal requests: the authorizer was asked %d times, want each time", len(*asked))
	}
	if send(t, "GET", url+"/nothing", "", nil); len(*asked) != 2 {
		t.Error("the authorizer was asked for an unknown route")
	}
	large := send(t, "GET", url+"/exports/1", strings.Repeat("x", 10*1024*1024+1), nil)
	if large.status != http.StatusRequestEntityTooLarge || len(*asked) != 2 {
		t.Errorf("a body that is too large: status %d, the authorizer was asked %d times more", large.status, len(*asked)-2)
	}
}

func TestAuthorizer_decisions(t *testing.T) {
	statement := func(effect, action, resource string) string {
		return `{"Action":[` + action + `],"Effect":"` + effect + `","Resource":[` + resource + `]}`
	}
	const invoke, arn = `"execute-api:Invoke"`, `"arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET/exports/42"`
	const denied, broken = `{"message":"User is not authorized to access this resource"}`, `{"message":null}`
	tests := map[string]struct {
		result  lambda.Result
		failure error
		status  int
		body    string
	}{
		"exact":             {decision(statement("Allow", invoke, arn), ""), nil, 200, ""},
		"star":              {decision(statement("Allow", invoke, `"arn:aws:execute-api:*:*:abc/v1/GET/*"`), ""), nil, 200, ""},
		"question mark":     {decision(statement("Allow", `"execute-api:*"`, `"arn:aws:execute-api:eu-west-1:123456789012:abc/v?/GET/exports/??"`), ""), nil, 200, ""},
		"one of several":    {decision(statement("Allow", `"a:b",`+invoke, `"x",`+arn), ""), nil, 200, ""},
		"another path":      {decision(statement("Allow", invoke, `"arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET/exports/4"`), ""), nil, 403, denied},
		"another method":    {decision(statement("Allow", invoke, `"arn:aws:execute-api:eu-west-1:123456789012:abc/v1/POST/*"`), ""), nil, 403, denied},
		"a dot is a dot":    {decision(statement("Allow", invoke, `"arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET/exports/.."`), ""), nil, 403, denied},
		"another action":    {decision(statement("Allow", `"execute-api:ManageConnections"`, arn), ""), nil, 403, denied},
		"deny":              {decision(statement("Deny", invoke, arn), ""), nil, 403, denied},
		"deny wins":         {decision(statement("Deny", invoke, `"*"`)+","+allowAll, ""), nil, 403, denied},
		"deny of another":   {decision(statement("Deny", invoke, `"arn:*/exports/7"`)+","+allowAll, ""), nil, 200, ""},
		"Unauthorized":      {lambda.Result{Payload: []byte(`{"errorMessage":"Unauthorized","errorType":"errorString"}`), FunctionError: "Unhandled"}, nil, 401, `{"message":"Unauthorized"}`},
		"another error":     {lambda.Result{Payload: []byte(`{"errorMessage":"unauthorized"}`), FunctionError: "Unhandled"}, nil, 500, broken},
		"not run":           {lambda.Result{}, &lambda.Error{Status: 429, Code: "TooManyRequestsException"}, 500, broken},
		"no principal":      {lambda.Result{Payload: []byte(`{"policyDocument":{"Version":"2012-10-17","Statement":[` + allowAll + `]}}`)}, nil, 500, broken},
		"no policy":         {lambda.Result{Payload: []byte(`{"principalId":"p"}`)}, nil, 500, broken},
		"null":              {lambda.Result{Payload: []byte(`null`)}, nil, 500, broken},
		"unknown effect":    {decision(statement("Permit", invoke, arn), ""), nil, 500, broken},
		"condition":         {decision(`{"Action":"*","Effect":"Allow","Resource":"*","Condition":{}}`, ""), nil, 500, broken},
		"list in context":   {decision(allowAll, `,"context":{"a":["b"]}`), nil, 500, broken},
		"object in context": {decision(allowAll, `,"context":{"a":{}}`), nil, 500, broken},
		"null in context":   {decision(allowAll, `,"context":{"a":null}`), nil, 500, broken},
		"no context":        {decision(allowAll, ""), nil, 200, ""},
		"text as it is":     {decision(allowAll, `,"context":{"a":"{\"b\":1}"}`), nil, 200, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url, asked, called := authorized(t, tt.result, tt.failure)
			resp := send(t, "GET", url+"/exports/42", "", nil)
			if resp.status != tt.status || resp.body != tt.body || len(*asked) != 1 {
				t.Errorf("%d: %s, asked %d times; want %d: %s", resp.status, resp.body, len(*asked), tt.status, tt.body)
			}
			if passed := len(*called) == 1; passed != (tt.status == http.StatusOK) {
				t.Errorf("the function was called: %t", passed)
			}
		})
	}
}

// An authorizer that hangs doesn't let the request through.
func TestAuthorizer_timeout(t *testing.T) {
	server := httptest.NewServer(gateway.New(gateway.Config{
		Routes: []template.Route{{Function: "Get", Authorizer: "Authorize", Method: "GET", Path: "/", Stage: "v1"}}, Timeout: 50 * time.Millisecond,
		Invoke: func(ctx context.Context, function string, _ []byte) (lambda.Result, error) {
			if function != "Authorize" {
				t.Error("the function was called")
			}
			<-ctx.Done()
			return lambda.Result{}, ctx.Err()
		},
	}))
	defer server.Close()
	if resp := send(t, "GET", server.URL+"/", "", nil); resp.status != http.StatusInternalServerError {
		t.Errorf("status %d: %s", resp.status, resp.body)
	}
}
