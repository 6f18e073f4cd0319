// Package authorizer is API Gateway's question "may this request pass, and
// whose is it?" (a Lambda authorizer of the type REQUEST) and its answers.
package authorizer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"csvexport/internal/auth"
	"csvexport/internal/export"
	"csvexport/internal/identity"
)

// Authorizer answers for each request. It holds no decision: API Gateway must
// ask each time, without its cache.
type Authorizer struct {
	Verifier *auth.Verifier // nil: nobody signs in, and everybody is identity.Anonymous
	Scope    string         // that every token must have; empty for none
}

// errUnauthorized makes API Gateway answer 401; it knows the error by this
// very text (API Gateway Developer Guide, "Lambda authorizer").
var errUnauthorized = errors.New("Unauthorized") //nolint:revive // the text is API Gateway's

// public are the routes that answer requests without an owner, too. Deep
// health is not: its handler refuses a request without one.
var public = []string{"/", "/health", "/openapi.yaml"}

// Handle answers one request: a policy that allows its route and says who
// sends it, one that denies it (403), or an error: errUnauthorized (401), or
// another when the token's issuer can't be asked (503, by the template).
func (a *Authorizer) Handle(ctx context.Context, event events.APIGatewayCustomAuthorizerRequestTypeRequest) (events.APIGatewayCustomAuthorizerResponse, error) {
	if a.Verifier == nil {
		return answer(event, "Allow", identity.Anonymous()), nil
	}
	given := authorization(event)
	if len(given) == 0 && event.HTTPMethod == http.MethodGet && slices.Contains(public, event.Resource) {
		return answer(event, "Allow", identity.Identity{}), nil
	}
	log := func(reason string) {
		slog.InfoContext(ctx, "request refused", "requestId", event.RequestContext.RequestID, "reason", reason)
	}
	token, reason := bearer(given)
	if reason != "" {
		log(reason)
		return events.APIGatewayCustomAuthorizerResponse{}, errUnauthorized
	}
	who, err := a.Verifier.Verify(ctx, token)
	if export.CodeOf(err) == export.Unauthenticated {
		log(errors.Unwrap(err).Error())
		return events.APIGatewayCustomAuthorizerResponse{}, errUnauthorized
	}
	if err != nil {
		slog.ErrorContext(ctx, "token not verified", "requestId", event.RequestContext.RequestID, "error", err)
		return events.APIGatewayCustomAuthorizerResponse{}, errors.New("the token can't be verified now")
	}
	if a.Scope != "" && !slices.Contains(who.Scopes, a.Scope) {
		log("the token lacks the scope that all need")
		return answer(event, "Deny", identity.Identity{}), nil
	}
	return answer(event, "Allow", who), nil
}

// authorization returns the values of all headers of this name.
func authorization(event events.APIGatewayCustomAuthorizerRequestTypeRequest) []string {
	var values []string
	for name, given := range event.MultiValueHeaders {
		if strings.EqualFold(name, "Authorization") {
			values = append(values, given...)
		}
	}
	if values != nil {
		return values
	}
	for name, given := range event.Headers {
		if strings.EqualFold(name, "Authorization") {
			values = append(values, given)
		}
	}
	return values
}

// bearer returns the token of the one Authorization header, or why there is none.
func bearer(values []string) (token, reason string) {
	switch len(values) {
	case 0:
		return "", "no Authorization header"
	case 1:
	default:
		return "", "several Authorization headers"
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", "the Authorization header's scheme isn't Bearer"
	}
	if token = strings.Trim(token, " "); token == "" {
		return "", "an empty token"
	}
	return token, ""
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// answer is a policy for the route of the request. The route's pattern stands
// in it and not the request's path, in which a client may write what means
// something in a policy.
func answer(event events.APIGatewayCustomAuthorizerRequestTypeRequest, effect string, who identity.Identity) events.APIGatewayCustomAuthorizerResponse {
	// arn:PARTITION:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH
	parts := strings.SplitN(event.MethodArn, "/", 4)
	if len(parts) == 4 {
		parts[3] = parameter.ReplaceAllString(strings.TrimPrefix(event.Resource, "/"), "*")
	}
	principal := who.Owner
	if principal == "" {
		principal = "nobody"
	}
	return events.APIGatewayCustomAuthorizerResponse{
		PrincipalID: principal, Context: who.Context(),
		PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{
			Version:   "2012-10-17",
			Statement: []events.IAMPolicyStatement{{Action: []string{"execute-api:Invoke"}, Effect: effect, Resource: []string{strings.Join(parts, "/")}}},
		},
	}
}
