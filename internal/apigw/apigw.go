// Package apigw runs an http.Handler as a Lambda function behind API Gateway
// (REST API, proxy integration, payload format 1.0).
package apigw

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"csvexport/internal/api"
	"csvexport/internal/config"
	"csvexport/internal/dataset"
	"csvexport/internal/function"
	"csvexport/internal/identity"
)

// Start starts the function whose handler build builds; see function.Start.
func Start(build func(context.Context, config.Config) (http.Handler, error), required ...config.Setting) {
	function.Start(func(ctx context.Context, cfg config.Config) (any, error) {
		h, err := build(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return Handler(allowOrigin(h, cfg.AllowedOrigin), cfg.AuthMode), nil
	}, required...)
}

// answerTime is how long before the function's end a request's context ends, so
// that a server that hangs leads to an answer of ours and not of API Gateway's.
const answerTime = time.Second

// lambdaTrace is under which key the Lambda library puts the invocation's X-Ray
// trace into its context.
const lambdaTrace = "x-amzn-trace-id"

// Handler adapts h to API Gateway's events. Who calls is what API Gateway
// verified, in the way of mode, and nothing that the request says. A panic of
// h is an internal error of that request, not the end of the function.
func Handler(h http.Handler, mode config.AuthMode) func(context.Context, events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	return func(ctx context.Context, event events.APIGatewayProxyRequest) (answer events.APIGatewayProxyResponse, err error) {
		defer func() {
			if p := recover(); p != nil {
				slog.ErrorContext(ctx, "panic", "requestId", event.RequestContext.RequestID, "panic", p, "stackTrace", string(debug.Stack()))
				answer, err = events.APIGatewayProxyResponse{}, fmt.Errorf("panic: %v", p)
			}
		}()
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerTime))
			defer cancel()
		}
		r, err := newRequest(ctx, event, mode)
		if err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		w := &response{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(w, r)
		return w.event(), nil
	}
}

// exposed are the headers of answers that pages of the allowed origin may read,
// beside those that they always may (Fetch standard, "CORS-safelisted
// response-header name").
const exposed = "Accept-Ranges, Content-Disposition, ETag, Location, Retry-After, X-Amz-Checksum-Crc32, X-Amz-Checksum-Type, X-Export-Bytes, X-Export-Rows"

// allowOrigin has every answer of h name the origin whose pages may read it,
// whoever asks: so an answer doesn't depend on the request's Origin. API
// Gateway answers the preflights.
func allowOrigin(h http.Handler, origin string) http.Handler {
	if origin == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", exposed)
		h.ServeHTTP(w, r)
	})
}

// basePath is what comes before the route in a request's whole path: the stage,
// or the base path of a custom domain name, which both of the event's paths
// have. A route's parameters are a segment each.
func basePath(whole, route string) string {
	segments := strings.Split(whole, "/")
	return strings.Join(segments[:max(len(segments)-strings.Count(route, "/"), 0)], "/")
}

func newRequest(ctx context.Context, event events.APIGatewayProxyRequest, mode config.AuthMode) (*http.Request, error) {
	body := []byte(event.Body)
	if event.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(event.Body); err != nil {
			return nil, fmt.Errorf("decode event's body: %w", err)
		}
	}
	who, err := caller(event, mode)
	if err != nil {
		return nil, err
	}
	ctx = api.WithCaller(ctx, api.Caller{
		Owner:     who.Owner,
		Subject:   who.Subject,
		Access:    dataset.Access{Scopes: who.Scopes, Claims: who.Claims},
		BasePath:  basePath(event.RequestContext.Path, event.Resource),
		RequestID: event.RequestContext.RequestID,
		SourceIP:  event.RequestContext.Identity.SourceIP,
	})
	target := url.URL{Path: event.Path, RawQuery: url.Values(event.MultiValueQueryStringParameters).Encode()}
	r, err := http.NewRequestWithContext(ctx, event.HTTPMethod, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("event's request: %w", err)
	}
	for name, values := range event.MultiValueHeaders {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if trace, ok := ctx.Value(lambdaTrace).(string); ok && r.Header.Get("X-Amzn-Trace-Id") == "" {
		r.Header.Set("X-Amzn-Trace-Id", trace)
	}
	r.Pattern = event.HTTPMethod + " " + event.Resource
	r.Host = r.Header.Get("Host")
	r.RemoteAddr = event.RequestContext.Identity.SourceIP
	for name, value := range event.PathParameters {
		r.SetPathValue(name, value)
	}
	return r, nil
}

// caller is who API Gateway says sends the request. Only in the mode iam is it
// API Gateway's own check of a signature: in any other that would be beside
// the authorizer.
func caller(event events.APIGatewayProxyRequest, mode config.AuthMode) (identity.Identity, error) {
	if mode == config.IAM {
		return identity.FromIAM(event.RequestContext.Identity.Caller, event.RequestContext.Identity.UserArn), nil
	}
	return identity.FromContext(event.RequestContext.Authorizer)
}

// response gathers what a handler answers; API Gateway takes it as a whole.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *response) Header() http.Header         { return w.header }
func (w *response) WriteHeader(status int)      { w.status = status }
func (w *response) Write(b []byte) (int, error) { return w.body.Write(b) }

func (w *response) event() events.APIGatewayProxyResponse {
	answer := events.APIGatewayProxyResponse{StatusCode: w.status, MultiValueHeaders: w.header}
	if utf8.Valid(w.body.Bytes()) {
		answer.Body = w.body.String()
	} else {
		answer.Body, answer.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return answer
}
