// Package gateway serves routes as a REST API of API Gateway does: it turns a
// request into a proxy event (payload format 1.0), invokes the route's
// function and turns its answer into the response.
//
// Every route is served below its stage, as in AWS, and at the root, as behind
// a custom domain name.
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/template"
)

// API Gateway's quotas for REST APIs.
const (
	maxBody            = 10 * 1024 * 1024 // bytes
	integrationTimeout = 29 * time.Second
)

// Invoke runs a function; [lambda.Host.Invoke] is one.
type Invoke func(ctx context.Context, function string, payload []byte) (lambda.Result, error)

// Config is what a gateway needs.
type Config struct {
	Routes    []template.Route
	Invoke    Invoke // is given a route's function
	AccountID string
	APIID     string
	Timeout   time.Duration // for one request; 0: API Gateway's 29 s
}

// ownAnswer is one that API Gateway gives itself, without or instead of a
// function's: a gateway response.
type ownAnswer struct {
	status    int
	message   string
	errorType string
}

// ownAnswers are API Gateway's defaults, by the type of gateway response.
var ownAnswers = map[string]ownAnswer{
	"MISSING_AUTHENTICATION_TOKEN": {http.StatusForbidden, "Missing Authentication Token", "MissingAuthenticationTokenException"},
	"REQUEST_TOO_LARGE":            {http.StatusRequestEntityTooLarge, "Request Too Long", "RequestTooLongException"},
	"THROTTLED":                    {http.StatusTooManyRequests, "Too Many Requests", "TooManyRequestsException"},
	"INTEGRATION_TIMEOUT":          {http.StatusGatewayTimeout, "Endpoint request timed out", "InternalServerErrorException"},
	"DEFAULT_5XX":                  {http.StatusBadGateway, "Internal server error", "InternalServerErrorException"},
}

type gateway struct {
	config    Config
	resources []*resource
}

// New returns a handler that serves the routes. It keeps no state.
func New(config Config) http.Handler {
	if config.Timeout == 0 {
		config.Timeout = integrationTimeout
	}
	return &gateway{config: config, resources: newResources(config.Routes)}
}

// ServeHTTP serves one request.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, ok := find(g.resources, r)
	if !ok {
		answerSelf(w, "MISSING_AUTHENTICATION_TOKEN")
		return
	}
	event, err := g.event(w, r, t)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		answerSelf(w, "REQUEST_TOO_LARGE")
		return
	}
	if err != nil {
		return // the client is gone
	}
	w.Header().Set("X-Amzn-Requestid", event.RequestContext.RequestID)
	payload, err := json.Marshal(event)
	if err != nil {
		answerSelf(w, "DEFAULT_5XX")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.config.Timeout)
	defer cancel()
	result, err := g.config.Invoke(ctx, t.function, payload)
	if err != nil {
		answerSelf(w, gatewayResponse(err))
		return
	}
	if result.FunctionError != "" {
		answerSelf(w, "DEFAULT_5XX")
		return
	}
	answer, err := decode(result.Payload)
	if err != nil {
		answerSelf(w, "DEFAULT_5XX")
		return
	}
	answer.write(w)
}

// gatewayResponse is the type of API Gateway's own answer when the function was not run to its end.
func gatewayResponse(err error) string {
	var refused *lambda.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "INTEGRATION_TIMEOUT"
	case errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests:
		return "THROTTLED"
	case errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge:
		return "REQUEST_TOO_LARGE"
	}
	return "DEFAULT_5XX"
}

// answerSelf writes one of API Gateway's own answers.
func answerSelf(w http.ResponseWriter, kind string) {
	own := ownAnswers[kind]
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", own.errorType)
	w.WriteHeader(own.status)
	body := struct {
		Message string `json:"message"`
	}{own.message}
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
