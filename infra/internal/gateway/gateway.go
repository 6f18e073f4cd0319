// Package gateway serves routes as a REST API of API Gateway does: it turns a
// request into a proxy event (payload format 1.0), invokes the route's
// function and turns its answer into the response. Where the API has an
// authorizer, that function is asked first, for each request.
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

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

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
	Invoke    Invoke // is given a route's function, or its authorizer
	Region    string // in the ARN of a method, for the authorizer
	AccountID string
	APIID     string
	Timeout   time.Duration // for one request; 0: API Gateway's 29 s

	// Responses are the API's own answers, by their type. Those that are
	// missing are API Gateway's.
	Responses map[string]template.GatewayResponse
	// Preflight holds the headers of the answer to OPTIONS on every path that
	// has no such route; nil for no answer.
	Preflight map[string]string
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
	g := &gateway{config: config, resources: newResources(config.Routes)}
	for _, r := range g.resources {
		if _, own := r.methods[http.MethodOptions]; !own && config.Preflight != nil {
			r.methods[http.MethodOptions] = method{preflight: true}
		}
	}
	return g
}

// ServeHTTP serves one request. Whether it is too large is found before the
// authorizer is asked; API Gateway's manual doesn't say which comes first.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Amzn-Requestid", id)
	t, ok := find(g.resources, r)
	self := g.self(id, r, t)
	if !ok {
		self.answer(w, "MISSING_AUTHENTICATION_TOKEN")
		return
	}
	if t.preflight {
		g.preflight(w)
		return
	}
	event, err := g.event(w, r, t, id)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		self.answer(w, "REQUEST_TOO_LARGE")
		return
	}
	if err != nil {
		return // the client is gone
	}
	if t.authorizer != "" {
		context, refusal := g.authorize(r, t, event)
		if refusal != "" {
			self.answer(w, refusal)
			return
		}
		event.RequestContext.Authorizer = context
	}
	g.integrate(w, r, t, event, self)
}

// integrate answers by the route's function.
func (g *gateway) integrate(w http.ResponseWriter, r *http.Request, t target, event *events.APIGatewayProxyRequest, self self) {
	payload, err := json.Marshal(event)
	if err != nil {
		self.answer(w, "DEFAULT_5XX")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.config.Timeout)
	defer cancel()
	result, err := g.config.Invoke(ctx, t.function, payload)
	if err != nil {
		self.answer(w, responseType(err))
		return
	}
	if result.FunctionError != "" {
		self.answer(w, "DEFAULT_5XX")
		return
	}
	answer, err := decode(result.Payload)
	if err != nil {
		self.answer(w, "DEFAULT_5XX")
		return
	}
	answer.write(w)
}

// responseType is the type of API Gateway's own answer when the function was not run to its end.
func responseType(err error) string {
	var refused *lambda.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "INTEGRATION_TIMEOUT"
	case errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge:
		return "REQUEST_TOO_LARGE"
	}
	return "INTEGRATION_FAILURE"
}
