package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// authorize asks the route's authorizer, a function of the type REQUEST. It
// returns what the authorizer says of the caller, or the type of API Gateway's
// own answer if the request may not pass (API Gateway Developer Guide, "Use API
// Gateway Lambda authorizers").
func (g *gateway) authorize(r *http.Request, t target, event *events.APIGatewayProxyRequest) (caller map[string]any, refusal string) {
	began := time.Now()
	arn := fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/%s/%s/%s", g.config.Region, g.config.AccountID, g.config.APIID, t.stage,
		r.Method, strings.TrimPrefix(t.path, "/"))
	payload, err := json.Marshal(authorizerEvent(event, arn))
	if err != nil {
		return nil, "AUTHORIZER_FAILURE"
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.config.Timeout)
	defer cancel()
	result, err := g.config.Invoke(ctx, t.authorizer, payload)
	if err != nil {
		return nil, "AUTHORIZER_FAILURE"
	}
	if result.FunctionError != "" {
		var failure struct{ ErrorMessage string }
		if json.Unmarshal(result.Payload, &failure) == nil && failure.ErrorMessage == "Unauthorized" {
			return nil, "UNAUTHORIZED"
		}
		return nil, "AUTHORIZER_FAILURE"
	}
	decision, err := decodeDecision(result.Payload)
	if err != nil {
		return nil, "AUTHORIZER_CONFIGURATION_ERROR"
	}
	if !decision.allows(arn) {
		return nil, "ACCESS_DENIED"
	}
	caller = map[string]any{"principalId": decision.PrincipalID, "integrationLatency": time.Since(began).Milliseconds()}
	for name, value := range decision.Context {
		caller[name] = value
	}
	return caller, ""
}

func authorizerEvent(event *events.APIGatewayProxyRequest, arn string) events.APIGatewayCustomAuthorizerRequestTypeRequest {
	c := event.RequestContext
	return events.APIGatewayCustomAuthorizerRequestTypeRequest{
		Type: "REQUEST", MethodArn: arn, Resource: event.Resource, Path: event.Path, HTTPMethod: event.HTTPMethod,
		Headers: event.Headers, MultiValueHeaders: event.MultiValueHeaders,
		QueryStringParameters: event.QueryStringParameters, MultiValueQueryStringParameters: event.MultiValueQueryStringParameters,
		PathParameters: event.PathParameters, StageVariables: event.StageVariables,
		RequestContext: events.APIGatewayCustomAuthorizerRequestTypeRequestContext{
			Path: c.Path, AccountID: c.AccountID, Stage: c.Stage, RequestID: c.RequestID, ResourcePath: c.ResourcePath,
			HTTPMethod: c.HTTPMethod, APIID: c.APIID,
			Identity: events.APIGatewayCustomAuthorizerRequestTypeRequestIdentity{SourceIP: c.Identity.SourceIP},
		},
	}
}

// decision is what an authorizer answers.
type decision struct {
	PrincipalID    string `json:"principalId"`
	PolicyDocument struct {
		Version   string
		Statement []statement
	} `json:"policyDocument"`
	Context            map[string]contextValue `json:"context"`
	UsageIdentifierKey string                  `json:"usageIdentifierKey"`
}

// statement is one of a policy. Others of its elements, such as conditions,
// are not understood.
type statement struct {
	Action, Resource oneOrMany
	Effect           string
}

// oneOrMany is a text or a list of texts.
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// contextValue is a text, number or boolean, which a function is given as text.
type contextValue string

func (v *contextValue) UnmarshalJSON(b []byte) error {
	var text string
	switch {
	case json.Unmarshal(b, &text) == nil && b[0] == '"':
		*v = contextValue(text)
	case b[0] == '{' || b[0] == '[' || string(b) == "null":
		return errors.New("a value of the context must be a text, a number or a boolean")
	default:
		*v = contextValue(b)
	}
	return nil
}

// decodeDecision reads an authorizer's answer as strictly as API Gateway does.
func decodeDecision(payload []byte) (decision, error) {
	var d decision
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return decision{}, fmt.Errorf("malformed answer of the authorizer: %w", err)
	}
	if d.PrincipalID == "" || d.PolicyDocument.Version == "" || len(d.PolicyDocument.Statement) == 0 {
		return decision{}, errors.New("malformed answer of the authorizer: no principalId or no policyDocument")
	}
	for _, s := range d.PolicyDocument.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" || len(s.Action) == 0 || len(s.Resource) == 0 {
			return decision{}, errors.New("malformed answer of the authorizer: a statement without effect, action or resource")
		}
	}
	return d, nil
}

// allows evaluates the policy: one Deny wins over every Allow, and what nothing
// allows is denied.
func (d decision) allows(arn string) bool {
	allowed := false
	for _, s := range d.PolicyDocument.Statement {
		action := func(pattern string) bool { return matches(strings.ToLower(pattern), "execute-api:invoke") }
		resource := func(pattern string) bool { return matches(pattern, arn) }
		if !slices.ContainsFunc(s.Action, action) || !slices.ContainsFunc(s.Resource, resource) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

var wildcards = strings.NewReplacer(`\*`, `.*`, `\?`, `.`)

// matches understands * and ? as IAM does: also across slashes.
func matches(pattern, text string) bool {
	expression, err := regexp.Compile(`(?s)^` + wildcards.Replace(regexp.QuoteMeta(pattern)) + `$`)
	return err == nil && expression.MatchString(text)
}
