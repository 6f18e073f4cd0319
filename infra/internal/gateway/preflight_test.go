package gateway_test

import (
	"net/http"
	"testing"

	"csvexport/infra/internal/gateway"
)

// OPTIONS on a path is answered without a function or an authorizer, and only
// where there is Cors.
func TestPreflight(t *testing.T) {
	allowed := map[string]string{"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Methods": "GET,POST"}
	url, calls := serve(t, gateway.Config{Preflight: allowed}, ok)
	for path, want := range map[string]int{"/exports/csv": http.StatusOK, "/v1/exports/42/status": http.StatusOK, "/": http.StatusOK, "/v1": http.StatusOK, "/nothing": http.StatusForbidden, "/v2/exports/csv": http.StatusForbidden} {
		resp := send(t, http.MethodOptions, url+path, "", nil)
		if resp.status != want || len(*calls) != 0 {
			t.Errorf("%s: %d, want %d; %d calls", path, resp.status, want, len(*calls))
		}
		for name, value := range allowed {
			if got := resp.header.Get(name); (got == value) != (want == http.StatusOK) {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}
