package template

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// GatewayResponse is an answer that an API gives by itself, without or instead
// of a function's: an entry of GatewayResponses.
type GatewayResponse struct {
	Status  int               // 0: API Gateway's own for this type
	Headers map[string]string // with fixed values
	// Body is the text with ContextVariables in it; empty for API Gateway's own.
	Body string
}

// GatewayStatuses holds API Gateway's types of gateway response with their own
// status codes; 0 for the two defaults, which leave the status of the types
// that they stand in for (API Gateway Developer Guide, "Gateway response
// types"). For INTEGRATION_FAILURE the guide says 504, but an invocation that
// Lambda refuses is answered by 500 (Lambda Developer Guide, "Handling Lambda
// errors with an API Gateway API"), and there are no other integrations here.
var GatewayStatuses = map[string]int{
	"ACCESS_DENIED": 403, "API_CONFIGURATION_ERROR": 500, "AUTHORIZER_CONFIGURATION_ERROR": 500, "AUTHORIZER_FAILURE": 500,
	"BAD_REQUEST_BODY": 400, "BAD_REQUEST_PARAMETERS": 400, "DEFAULT_4XX": 0, "DEFAULT_5XX": 0, "EXPIRED_TOKEN": 403,
	"INTEGRATION_FAILURE": 500, "INTEGRATION_TIMEOUT": 504, "INVALID_API_KEY": 403, "INVALID_SIGNATURE": 403,
	"MISSING_AUTHENTICATION_TOKEN": 403, "QUOTA_EXCEEDED": 429, "REQUEST_TOO_LARGE": 413, "RESOURCE_NOT_FOUND": 404,
	"THROTTLED": 429, "UNAUTHORIZED": 401, "UNSUPPORTED_MEDIA_TYPE": 415, "WAF_FILTERED": 403,
}

// contextVariables are the variables that the local gateway can fill in.
var contextVariables = []string{
	"$context.apiId", "$context.error.message", "$context.error.messageString", "$context.error.responseType",
	"$context.httpMethod", "$context.path", "$context.requestId", "$context.stage",
}

// ContextVariables matches the variables of a gateway response's body. Nothing
// else is substituted: these templates aren't Velocity's.
var ContextVariables = regexp.MustCompile(`\$(?:[A-Za-z]+(?:\.[A-Za-z]+)*)?`)

// staticValue is a header's value in single quotes, which API Gateway sends as it is.
var staticValue = regexp.MustCompile(`^'[^']*'$`)

func (l *loader) gatewayResponses(r *resource, n *node) {
	if n == nil {
		return
	}
	if l.stack.GatewayResponses != nil {
		l.add(n.line, "API %s: the gateway responses of one API are understood, and another has some", r.id)
		return
	}
	l.stack.GatewayResponses = map[string]GatewayResponse{}
	for typ, response := range l.object(n, "GatewayResponses", sortedKeys(GatewayStatuses), nil) {
		l.stack.GatewayResponses[typ] = l.gatewayResponse(typ, response)
	}
}

func (l *loader) gatewayResponse(what string, n *node) GatewayResponse {
	p := l.object(n, what, []string{"StatusCode", "ResponseParameters", "ResponseTemplates"}, nil)
	out := GatewayResponse{Headers: map[string]string{}}
	if status := p["StatusCode"]; status != nil {
		out.Status = l.number(status, "StatusCode", 0, 200, 599)
	}
	parameters := l.object(p["ResponseParameters"], "ResponseParameters", []string{"Headers"}, nil)
	for _, h := range l.entries(parameters["Headers"], "Headers") {
		if l.head(h.value) == nil { // AWS::NoValue
			continue
		}
		value := l.text(h.value)
		if !staticValue.MatchString(value) {
			l.add(h.line, "the value of %s must be a text in single quotes, such as \"'no-store'\", not %q", h.key, value)
		}
		out.Headers[h.key] = strings.Trim(value, "'")
	}
	// API Gateway would choose among several by the Accept header.
	if body := l.object(p["ResponseTemplates"], "ResponseTemplates", []string{"application/json"}, nil)["application/json"]; body != nil {
		out.Body = l.text(body)
		for _, v := range ContextVariables.FindAllString(out.Body, -1) {
			if !slices.Contains(contextVariables, v) {
				l.add(body.line, "the variable %s is not understood; understood are %s", strconv.Quote(v), strings.Join(contextVariables, ", "))
			}
		}
	}
	return out
}
