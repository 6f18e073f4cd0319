package gateway

import (
	"encoding/json"
	"net/http"

	"csvexport/infra/internal/template"
)

// defaultBody is API Gateway's own where the API doesn't say otherwise.
const defaultBody = `{"message":$context.error.messageString}`

// ownErrors are the message and the error type of those gateway responses that
// can come about here.
var ownErrors = map[string]struct{ message, errorType string }{
	"MISSING_AUTHENTICATION_TOKEN":   {"Missing Authentication Token", "MissingAuthenticationTokenException"},
	"UNAUTHORIZED":                   {"Unauthorized", "UnauthorizedException"},
	"ACCESS_DENIED":                  {"User is not authorized to access this resource", "AccessDeniedException"},
	"AUTHORIZER_FAILURE":             {"", "AuthorizerConfigurationException"}, // a message that is null
	"AUTHORIZER_CONFIGURATION_ERROR": {"", "AuthorizerConfigurationException"},
	"REQUEST_TOO_LARGE":              {"Request Too Long", "RequestTooLongException"},
	"INTEGRATION_FAILURE":            {"Internal server error", "InternalServerErrorException"},
	"INTEGRATION_TIMEOUT":            {"Endpoint request timed out", "InternalServerErrorException"},
	"DEFAULT_5XX":                    {"Internal server error", "InternalServerErrorException"},
}

// self is API Gateway answering one request by itself.
type self struct {
	responses map[string]template.GatewayResponse
	variables map[string]string // of the bodies
}

func (g *gateway) self(requestID string, r *http.Request, t target) self {
	stage := ""
	if t.resource != nil {
		stage = t.stage
	}
	return self{g.config.Responses, map[string]string{
		"$context.apiId": g.config.APIID, "$context.httpMethod": r.Method, "$context.path": r.URL.Path,
		"$context.requestId": requestID, "$context.stage": stage,
	}}
}

// answer writes the gateway response of a type: the API's own, or that of the
// default for its class, or API Gateway's.
func (s self) answer(w http.ResponseWriter, typ string) {
	own := ownErrors[typ]
	// A function that fails gives 502 (Lambda Developer Guide, "Handling Lambda errors with an API Gateway API").
	status := http.StatusBadGateway
	if known := template.GatewayStatuses[typ]; known != 0 {
		status = known
	}
	response, ok := s.responses[typ]
	if !ok {
		fallback := "DEFAULT_4XX"
		if status >= http.StatusInternalServerError {
			fallback = "DEFAULT_5XX"
		}
		response = s.responses[fallback]
	}
	if response.Status != 0 {
		status = response.Status
	}
	if response.Body == "" {
		response.Body = defaultBody
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", own.errorType)
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	quoted, _ := json.Marshal(own.message) // a string always encodes
	if own.message == "" {
		quoted = []byte("null")
	}
	s.variables["$context.error.message"] = own.message
	s.variables["$context.error.messageString"] = string(quoted)
	s.variables["$context.error.responseType"] = typ
	body := template.ContextVariables.ReplaceAllStringFunc(response.Body, func(name string) string { return s.variables[name] })
	_, _ = w.Write([]byte(body)) // the client may be gone
}
