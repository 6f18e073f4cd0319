package lambda_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"csvexport/infra/internal/lambda"
)

func TestInvokeAPI(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:test-Export"
	tests := map[string]struct {
		name, payload string
		header        http.Header
		status        int
		body          string // contained in the answer's
		answer        map[string]string
	}{
		"by name":        {"test-Export", `{}`, nil, 200, `"pid":`, map[string]string{"X-Amz-Executed-Version": "$LATEST", "X-Amz-Function-Error": "", "X-Amz-Log-Result": ""}},
		"by ARN":         {url.PathEscape(arn), `{}`, nil, 200, arn, nil},
		"no payload":     {"Export", ``, nil, 200, `"pid":`, nil},
		"function error": {"Export", `{"op":"error"}`, nil, 200, `"errorMessage":"no such table"`, map[string]string{"X-Amz-Function-Error": "Unhandled"}},
		"dry run":        {"Export", `{}`, http.Header{"X-Amz-Invocation-Type": {"DryRun"}}, 204, "", nil},
		"unknown":        {"nobody", `{}`, nil, 404, `"message":"Function not found: nobody"`, map[string]string{"X-Amzn-Errortype": "ResourceNotFoundException"}},
		"not JSON":       {"Export", `{`, nil, 400, `not valid JSON`, map[string]string{"X-Amzn-Errortype": "InvalidRequestContentException"}},
		"type":           {"Export", `{}`, http.Header{"X-Amz-Invocation-Type": {"Later"}}, 400, `Later`, nil},
		"too large": {
			"Export", `"` + strings.Repeat("x", 6*1024*1024) + `"`, nil, 413, `smaller than 6291456 bytes`,
			map[string]string{"X-Amzn-Errortype": "RequestTooLargeException"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp := post(t, server.URL+"/2015-03-31/functions/"+tt.name+"/invocations", tt.payload, tt.header)
			if resp.status != tt.status || !strings.Contains(resp.body, tt.body) {
				t.Errorf("%d: %s", resp.status, resp.body)
			}
			for name, want := range tt.answer {
				if got := resp.header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// reply is a response that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

func post(t *testing.T, url, payload string, header http.Header) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func TestInvokeAPI_EventWaitsForAnEnvironment(t *testing.T) {
	limited := function(t, "handler")
	limited.Concurrency = 1
	h := newHost(t, lambda.Config{Functions: []lambda.Function{limited}})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	results := start(t, h, 1, 500)
	address := server.URL + "/2015-03-31/functions/Export/invocations"
	if resp := post(t, address, `{}`, nil); resp.status != http.StatusTooManyRequests || resp.header.Get("X-Amzn-Errortype") != "TooManyRequestsException" {
		t.Errorf("a second invocation at once: %d: %s", resp.status, resp.body)
	}
	if resp := post(t, address, `{}`, http.Header{"X-Amz-Invocation-Type": {"Event"}}); resp.status != http.StatusAccepted || resp.body != "" {
		t.Errorf("%d: %q", resp.status, resp.body)
	}
	pid := results()[0].PID
	eventually(t, "the event is handled", func() bool { return len(h.Reports("")) == 2 })
	if r := h.Reports("")[1]; r.PID != pid || r.Status != "success" {
		t.Errorf("report %+v", r)
	}
}

func TestInvokeAPI_Local(t *testing.T) {
	h := newHost(t, lambda.Config{Functions: []lambda.Function{function(t, "handler")}})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	resp := post(t, server.URL+"/2015-03-31/functions/Export/invocations", `{}`, http.Header{"X-Amz-Log-Type": {"Tail"}})
	tail, err := base64.StdEncoding.DecodeString(resp.header.Get("X-Amz-Log-Result"))
	if err != nil || !strings.Contains(string(tail), "REPORT RequestId: "+resp.header.Get("X-Amzn-RequestId")) {
		t.Errorf("tail %q, error %v", tail, err)
	}
	var in response
	if err := json.Unmarshal([]byte(resp.body), &in); err != nil {
		t.Fatal(err)
	}
	var environments []lambda.Environment
	get(t, server.URL+"/local/environments", &environments)
	if len(environments) != 1 || environments[0].PID != in.PID || environments[0].State != "idle" || environments[0].Function != "test-Export" {
		t.Errorf("environments %+v", environments)
	}
	var reports []lambda.Report
	get(t, server.URL+"/local/reports?function=Export", &reports)
	if len(reports) != 1 || reports[0].RequestID != in.RequestID || reports[0].InitDuration <= 0 || reports[0].LogFile != environments[0].LogFile {
		t.Errorf("reports %+v", reports)
	}
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
