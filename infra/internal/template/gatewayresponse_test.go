package template_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/template"
)

const api = "Transform: AWS::Serverless-2016-10-31\nResources:\n  Api:\n    Type: AWS::Serverless::Api\n    Properties:\n      StageName: v1\n"

func TestLoad_GatewayResponses(t *testing.T) {
	stack, err := load(t, api+`      GatewayResponses:
        THROTTLED:
          StatusCode: 420
          ResponseParameters: {Headers: {Retry-After: "'1'", X-Name: !Sub "'${AWS::StackName}'"}}
          ResponseTemplates:
            application/json: >-
              {"id":"$context.requestId",
              "message":$context.error.messageString}
        DEFAULT_5XX: {}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]template.GatewayResponse{
		"THROTTLED": {
			Status: 420, Headers: map[string]string{"Retry-After": "1", "X-Name": "test"},
			Body: `{"id":"$context.requestId", "message":$context.error.messageString}`,
		},
		"DEFAULT_5XX": {Headers: map[string]string{}},
	}
	if diff := cmp.Diff(want, stack.GatewayResponses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoad_GatewayResponses_errors(t *testing.T) {
	tests := map[string]struct {
		text string // from line 7
		want string // after "template.yaml:"
	}{
		"type":     {"      GatewayResponses:\n        TEAPOT: {}\n", "8: GatewayResponses has TEAPOT, which is not understood; understood are ACCESS_DENIED, "},
		"key":      {"      GatewayResponses:\n        THROTTLED:\n          Status: 429\n", "9: THROTTLED has Status, which is not understood; understood are StatusCode, "},
		"status":   {"      GatewayResponses:\n        THROTTLED:\n          StatusCode: many\n", `9: StatusCode must be a whole number from 200 to 599, not "many"`},
		"mapping":  {"      GatewayResponses:\n        THROTTLED:\n          ResponseParameters:\n            Paths: {}\n", "10: ResponseParameters has Paths, which is not understood"},
		"header":   {"      GatewayResponses:\n        THROTTLED:\n          ResponseParameters:\n            Headers:\n              X-A: method.request.header.A\n", `11: the value of X-A must be a text in single quotes, such as "'no-store'", not "method.request.header.A"`},
		"type of":  {"      GatewayResponses:\n        THROTTLED:\n          ResponseTemplates:\n            text/html: x\n", "10: ResponseTemplates has text/html, which is not understood; understood are application/json"},
		"variable": {"      GatewayResponses:\n        THROTTLED:\n          ResponseTemplates:\n            application/json: '$context.requestId $input.body'\n", `10: the variable "$input.body" is not understood; understood are $context.apiId, `},
		"dollar":   {"      GatewayResponses:\n        THROTTLED:\n          ResponseTemplates:\n            application/json: 'costs 5 $'\n", `10: the variable "$" is not understood`},
		"two APIs": {"      GatewayResponses: {}\n  B: {Type: AWS::Serverless::Api, Properties: {StageName: v2, GatewayResponses: {}}}\n", "8: API B: the gateway responses of one API are understood, and another has some"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, api+tt.text, nil)
			if err == nil || !strings.HasPrefix(err.Error(), "template.yaml:"+tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant template.yaml:%s", err, tt.want)
			}
		})
	}
}

// codes are the contract's, by status.
var codes = map[int]string{
	400: "invalid_request", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 413: "payload_too_large",
	415: "unsupported_media_type", 429: "too_many_requests", 500: "internal", 503: "unavailable",
}

// Every answer that API Gateway can give by itself is a problem document of
// the contract whose status is the answer's.
func TestLoad_ProjectTemplate_gatewayResponses(t *testing.T) {
	stack, err := template.Load("../../../template.yaml", template.Options{StackName: "Local", QueueURL: queueURL})
	if err != nil {
		t.Fatal(err)
	}
	for typ, status := range template.GatewayStatuses {
		t.Run(typ, func(t *testing.T) {
			response, ok := stack.GatewayResponses[typ]
			if !ok {
				// The default's status stands in its body, so it must be right for all it stands in for.
				if fallback := stack.GatewayResponses["DEFAULT_"+string('0'+rune(status/100))+"XX"]; fallback.Status != status {
					t.Errorf("has no entry, and the default's status is %d, not %d", fallback.Status, status)
				}
				return
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(response.Body), &got); err != nil {
				t.Fatalf("%v: %s", err, response.Body)
			}
			detail := got["detail"]
			if diff := cmp.Diff(map[string]any{
				"type": "about:blank", "title": http.StatusText(response.Status), "status": float64(response.Status), "detail": detail,
				"code": codes[response.Status], "requestId": "$context.requestId", "error": detail,
			}, got); diff != "" || detail == "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			h := response.Headers
			if h["Content-Type"] != "application/problem+json" || h["Cache-Control"] != "no-store" ||
				(h["Retry-After"] != "") != (response.Status == 429 || response.Status == 503) {
				t.Errorf("headers %v", h)
			}
		})
	}
}
