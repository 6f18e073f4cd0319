package eventbus_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/eventbus"
	"csvexport/internal/servertest"
)

// An entry may fail though the call went well (EventBridge API Reference,
// PutEvents, "FailedEntryCount").
func TestBus_Put(t *testing.T) {
	at := time.Date(2026, 11, 27, 5, 30, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		status int
		answer string
		want   string // part of the error; empty for none
	}{
		"put":          {http.StatusOK, `{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`, ""},
		"entry failed": {http.StatusOK, `{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure","ErrorMessage":"no"}]}`, "InternalFailure: no"},
		"refused":      {http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"no"}`, "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string][]map[string]any
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if err := json.Unmarshal(body, &got); err != nil {
					t.Error(err)
				}
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.answer))
			}))
			defer server.Close()
			err := eventbus.New(servertest.AWSAt(t, server.URL), "bus").Put(t.Context(), eventbus.Event{DetailType: "Export Failed", Detail: []byte(`{"a":1}`), At: at})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			want := map[string][]map[string]any{"Entries": {{
				"EventBusName": "bus", "Source": "csvexport", "DetailType": "Export Failed", "Detail": `{"a":1}`, "Time": float64(at.Unix()),
			}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}
