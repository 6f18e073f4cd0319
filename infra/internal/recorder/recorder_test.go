package recorder_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"csvexport/infra/internal/recorder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record starts a recorder before an upstream.
func record(t *testing.T, upstream http.HandlerFunc) (*recorder.Recorder, string) {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	r := recorder.New()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	address, err := r.Proxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return r, address
}

// post sends a request as an SDK would; an empty trace is not sent.
func post(t *testing.T, address, trace, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if trace != "" {
		req.Header.Set("X-Amzn-Trace-Id", trace)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

func TestRecorder_PassesOn(t *testing.T) {
	_, address := record(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, r.URL.Path+" "+r.Header.Get("X-Amz-Target")+string(body))
	})
	if status, answer := post(t, address+"/000000000000/queue", "", "body"); status != http.StatusTeapot || answer != "/000000000000/queue body" {
		t.Errorf("status %d, answer %q", status, answer)
	}
}

// TestRecorder_Attributes has two invocations call at the same time: what each
// waits for is told apart, and the wait is as long as the upstream takes.
func TestRecorder_Attributes(t *testing.T) {
	var both sync.WaitGroup // the calls that are at work together
	both.Add(2)
	var mu sync.Mutex
	worked := map[string]recorder.Call{}
	r, address := record(t, func(_ http.ResponseWriter, req *http.Request) {
		begin := time.Now()
		if req.URL.Path == "/together" {
			both.Done()
			both.Wait()
		}
		mu.Lock()
		defer mu.Unlock()
		worked[req.Header.Get("X-Amzn-Trace-Id")+req.URL.Path] = recorder.Call{Begin: begin, End: time.Now()}
	})
	const first, second = "Root=1-00000001-a;Parent=b;Sampled=0", "Root=1-00000002-a;Parent=b;Sampled=0"
	var callers sync.WaitGroup
	for _, trace := range []string{first, second} {
		callers.Go(func() { post(t, address+"/together", trace, "{}") })
	}
	callers.Wait()
	post(t, address+"/again", first, "{}")
	post(t, address+"/without", "", "{}")

	calls := r.Take()
	for trace, paths := range map[string][]string{first: {"/together", "/again"}, second: {"/together"}, "": {"/without"}} {
		if len(calls[trace]) != len(paths) {
			t.Errorf("trace %q: %d calls, want %d", trace, len(calls[trace]), len(paths))
			continue
		}
		for i, path := range paths {
			got, inside := calls[trace][i], worked[trace+path]
			if got.Begin.After(inside.Begin) || got.End.Before(inside.End) {
				t.Errorf("%s of %q: recorded %v to %v, the upstream worked from %v to %v", path, trace, got.Begin, got.End, inside.Begin, inside.End)
			}
		}
	}
	if len(calls) != 3 {
		t.Errorf("%d traces, want 3", len(calls))
	}
	if again := r.Take(); len(again) != 0 {
		t.Errorf("taken twice: %v", again)
	}
}
