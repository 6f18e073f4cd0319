package apigw_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"csvexport/internal/api"
	"csvexport/internal/apigw"
	"csvexport/internal/config"
	"csvexport/internal/dataset"
	"csvexport/internal/identity"
	"csvexport/internal/servertest"
)

func event() events.APIGatewayProxyRequest {
	return events.APIGatewayProxyRequest{
		Resource: "/exports/{id}/status", Path: "/exports/42/status", HTTPMethod: http.MethodPost,
		MultiValueHeaders:               map[string][]string{"content-type": {"application/json"}, "Host": {"api.example"}, "X-Many": {"a", "b"}},
		MultiValueQueryStringParameters: map[string][]string{"q": {"a b", "&"}},
		PathParameters:                  map[string]string{"id": "42"},
		Body:                            `{"a":1}`,
		RequestContext: events.APIGatewayProxyRequestContext{
			RequestID: "r-1", Path: "/v1/exports/42/status", Identity: events.APIGatewayRequestIdentity{SourceIP: "192.0.2.1"},
		},
	}
}

func TestHandler_request(t *testing.T) {
	var got map[string]any
	h := apigw.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = map[string]any{
			"method": r.Method, "path": r.URL.Path, "query": r.URL.Query()["q"], "id": r.PathValue("id"), "host": r.Host,
			"type": r.Header.Get("Content-Type"), "many": r.Header.Values("x-many"), "body": string(body), "from": r.RemoteAddr,
		}
	}), config.JWT)
	want := map[string]any{
		"method": "POST", "path": "/exports/42/status", "query": []string{"a b", "&"}, "id": "42", "host": "api.example",
		"type": "application/json", "many": []string{"a", "b"}, "body": `{"a":1}`, "from": "192.0.2.1",
	}
	if _, err := h(t.Context(), event()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	e := event()
	e.Body, e.IsBase64Encoded = "eyJhIjoxfQ==", true
	if _, err := h(t.Context(), e); err != nil || got["body"] != `{"a":1}` {
		t.Errorf("base64 body: %v (%v)", got["body"], err)
	}
}

func TestHandler_response(t *testing.T) {
	h := apigw.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("X-Many", "a")
		w.Header().Add("X-Many", "b")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "grüße")
	}), config.JWT)
	got, err := h(t.Context(), event())
	if err != nil {
		t.Fatal(err)
	}
	want := events.APIGatewayProxyResponse{StatusCode: http.StatusTeapot, MultiValueHeaders: map[string][]string{"X-Many": {"a", "b"}}, Body: "grüße"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	binary := apigw.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff}) }), config.JWT)
	if got, err := binary(t.Context(), event()); err != nil || got.Body != "/w==" || !got.IsBase64Encoded || got.StatusCode != http.StatusOK {
		t.Errorf("binary response %+v (%v)", got, err)
	}
}

// A panic is one request's error, not the function's end. Its line of the log
// names the stack, as all do, beside where it happened.
func TestHandler_panic(t *testing.T) {
	log := servertest.Log(t)
	slog.SetDefault(slog.With("stack", "prod"))
	h := apigw.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") }), config.JWT)
	if _, err := h(t.Context(), event()); err == nil {
		t.Error("no error after a panic")
	}
	lines := log()
	if len(lines) != 1 || lines[0]["stack"] != "prod" || !strings.Contains(fmt.Sprint(lines[0]["stackTrace"]), "TestHandler_panic") {
		t.Errorf("lines %v", lines)
	}
}

// The trace of the invocation stands in for API Gateway's header.
func TestHandler_trace(t *testing.T) {
	var got string
	h := apigw.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Amzn-Trace-Id") }), config.JWT)
	ctx := context.WithValue(t.Context(), "x-amzn-trace-id", "Root=lambdas") //nolint:revive,staticcheck // the Lambda library's own key
	if _, err := h(ctx, event()); err != nil || got != "Root=lambdas" {
		t.Errorf("trace %q (%v), want the invocation's", got, err)
	}
	e := event()
	e.MultiValueHeaders["X-Amzn-Trace-Id"] = []string{"Root=gateways"}
	if _, err := h(ctx, e); err != nil || got != "Root=gateways" {
		t.Errorf("trace %q (%v), want API Gateway's", got, err)
	}
}

// Only what API Gateway verified, in the way that is set, names the caller;
// links keep the stage's prefix.
func TestHandler_caller(t *testing.T) {
	authorized, signed, both, nobody := event(), event(), event(), event()
	context := map[string]any{
		"owner": "0a1b", "subject": "anna", "scopes": "exports pii", "claims": `{"tenant":["acme"]}`, "principalId": "0a1b", "integrationLatency": 5,
	}
	authorized.RequestContext.Authorizer = context
	signed.RequestContext.Identity.Caller, signed.RequestContext.Identity.UserArn = "AROAEXAMPLE:session", "arn:aws:sts::1:assumed-role/r/session"
	both.RequestContext.Authorizer, both.RequestContext.Identity = context, signed.RequestContext.Identity
	nobody.RequestContext.Path = nobody.Path
	for _, name := range []string{"Owner", "X-Owner", "X-Amzn-Owner", "X-Amzn-Requestcontext", "X-Subject"} {
		nobody.MultiValueHeaders[name] = []string{"0a1b"}
	}
	nobody.MultiValueQueryStringParameters["owner"] = []string{"0a1b"}
	byToken := api.Caller{
		Owner: "0a1b", Subject: "anna", BasePath: "/v1", RequestID: "r-1", SourceIP: "192.0.2.1",
		Access: dataset.Access{Scopes: []string{"exports", "pii"}, Claims: map[string][]string{"tenant": {"acme"}}},
	}
	bySignature := api.Caller{
		Owner: identity.Owner("aws-iam", "AROAEXAMPLE"), Subject: "arn:aws:sts::1:assumed-role/r/session",
		BasePath: "/v1", RequestID: "r-1", SourceIP: "192.0.2.1", Access: dataset.Access{Claims: map[string][]string{"sub": {"AROAEXAMPLE"}}},
	}
	stranger := api.Caller{RequestID: "r-1", SourceIP: "192.0.2.1"}
	staged := stranger
	staged.BasePath = "/v1"
	// Behind a custom domain name both paths have its base path (API Gateway Developer Guide, "Base path mappings").
	mapped, domain := nobody, stranger
	mapped.Path = "/base/v1" + nobody.Path
	mapped.RequestContext.Path = mapped.Path
	domain.BasePath = "/base/v1"
	for name, test := range map[string]struct {
		mode  config.AuthMode
		event events.APIGatewayProxyRequest
		want  api.Caller
	}{
		"behind a domain's base path":     {config.JWT, mapped, domain},
		"authorized":                      {config.JWT, authorized, byToken},
		"signed":                          {config.IAM, signed, bySignature},
		"signed, though by token":         {config.JWT, signed, staged},
		"authorized, though by signature": {config.IAM, authorized, staged},
		"both, by token":                  {config.JWT, both, byToken},
		"both, by signature":              {config.IAM, both, bySignature},
		"nobody, without a stage":         {config.JWT, nobody, stranger},
		"nobody, where nobody signs in":   {config.NoAuth, nobody, stranger},
		"nobody, by signature":            {config.IAM, nobody, stranger},
	} {
		test.event.RequestContext.Identity.SourceIP = "192.0.2.1"
		var got api.Caller
		h := apigw.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = api.CallerOf(r) }), test.mode)
		if _, err := h(t.Context(), test.event); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: caller (-want +got):\n%s", name, diff)
		}
	}
}

func TestHandler_problem(t *testing.T) {
	missing := event()
	missing.RequestContext.Authorizer = map[string]any{"owner": "0a1b"}
	missing.PathParameters = map[string]string{"id": "not-a-uuid"}
	got, err := apigw.Handler(&api.GetExport{}, config.JWT)(t.Context(), missing)
	if err != nil {
		t.Fatal(err)
	}
	var problem map[string]any
	if err := json.Unmarshal([]byte(got.Body), &problem); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "about:blank", "title": "Bad Request", "status": 400.0, "code": "invalid_request", "requestId": "r-1",
		"detail": "The request isn't valid; see errors.", "error": "The request isn't valid; see errors.",
		"errors": []any{map[string]any{"field": "id", "message": "must be an export's id as the service gave it: a UUID in lower case"}},
	}
	if diff := cmp.Diff(want, problem); diff != "" {
		t.Errorf("problem (-want +got):\n%s", diff)
	}
	if ct := got.MultiValueHeaders["Content-Type"]; len(ct) != 1 || ct[0] != "application/problem+json" {
		t.Errorf("Content-Type %v", ct)
	}
}

// A server that hangs leaves a handler time to answer before its function ends.
func TestHandler_deadline(t *testing.T) {
	end := time.Now().Add(10 * time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	var got time.Time
	h := apigw.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = r.Context().Deadline() }), config.JWT)
	if _, err := h(ctx, events.APIGatewayProxyRequest{HTTPMethod: http.MethodGet, Path: "/"}); err != nil {
		t.Fatal(err)
	}
	if left := end.Sub(got); left < time.Second || left > 3*time.Second {
		t.Errorf("the request's context ends %v before the function", left)
	}
}
