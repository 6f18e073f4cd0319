package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"csvexport/infra/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a wire before a server that counts its requests.
type fixture struct {
	*wire.Wire
	url  string
	seen atomic.Int32
}

func newFixture(t *testing.T, service wire.Service, answer string) *fixture {
	t.Helper()
	f := &fixture{Wire: wire.New()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			f.seen.Add(1)
		}
		w.Header().Set("ETag", "right")
		w.Header().Set("X-Amz-Crc32", "1")
		w.Header().Set("Seen", r.Host+" "+string(body))
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	var err error
	if f.url, err = f.Proxy(service, server.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// call sends a request and returns the answer, which is nil if there was none.
func (f *fixture) call(t *testing.T, method, path, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp
}

func all(wire.Call) bool { return true }

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestActions(t *testing.T) {
	for name, test := range map[string]struct {
		do       wire.Action
		answered bool
		seen     int32
	}{
		"pass":        {wire.Pass, true, 1},
		"drop":        {wire.Drop, false, 0},
		"lose answer": {wire.LoseAnswer, false, 1},
		"refuse":      {wire.Refuse(http.StatusServiceUnavailable, "SlowDown"), true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, wire.S3, "fine")
			rule := f.Add(&wire.Rule{Match: all, Do: test.do, Times: 1})
			resp := f.call(t, http.MethodPut, "/b/k?partNumber=3&uploadId=u", "part")
			if (resp != nil) != test.answered || f.seen.Load() != test.seen {
				t.Errorf("answered: %v, requests that arrived: %d", resp != nil, f.seen.Load())
			}
			if fired := rule.Fired(); len(fired) != 1 || fired[0].Operation != "UploadPart" {
				t.Errorf("fired %+v", fired)
			}
			if resp := f.call(t, http.MethodPut, "/b/k", "again"); resp == nil || text(t, resp) != "fine" {
				t.Error("the rule outlived its times")
			}
		})
	}
}

// A refusal is in the service's own form.
func TestRefuse(t *testing.T) {
	f := newFixture(t, wire.S3, "")
	f.Add(&wire.Rule{Match: all, Do: wire.Refuse(http.StatusNotFound, "NoSuchBucket")})
	if resp := f.call(t, http.MethodPut, "/b/k", "x"); resp.StatusCode != http.StatusNotFound || !strings.Contains(text(t, resp), "<Code>NoSuchBucket</Code>") {
		t.Errorf("status %d", resp.StatusCode)
	}
	f = newFixture(t, wire.DynamoDB, "")
	f.Add(&wire.Rule{Match: all, Do: wire.Refuse(http.StatusBadRequest, "ThrottlingException")})
	if resp := f.call(t, http.MethodPost, "/", "{}"); resp.StatusCode != http.StatusBadRequest || !strings.Contains(text(t, resp), `"com.amazonaws#ThrottlingException"`) {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// A hanging call ends when the wire is closed, or its caller goes.
func TestHang(t *testing.T) {
	f := newFixture(t, wire.S3, "")
	f.Add(&wire.Rule{Match: all, Do: wire.Hang})
	client := &http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	var timeout interface{ Timeout() bool }
	if _, err := client.Do(req); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error %v, want a timeout", err)
	}
}

func TestGate(t *testing.T) {
	for name, test := range map[string]struct {
		gate *wire.Gate
		seen int32
	}{"before": {wire.Before(), 0}, "after": {wire.After(), 1}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, wire.SQS, "fine")
			f.Add(&wire.Rule{Match: all, Do: test.gate.Do})
			answer := make(chan *http.Response, 1)
			go func() {
				answer <- f.call(t, http.MethodPost, "/", `{"exportId":"7"}`, "X-Amz-Target: AmazonSQS.SendMessage", "User-Agent: aws-sdk-go-v2/1.47.7 app/create-export api/sqs")
			}()
			call := <-test.gate.Arrived()
			if call.Operation != "SendMessage" || call.Function != "create-export" || !call.About("7") || f.seen.Load() != test.seen {
				t.Errorf("call %+v, %d requests arrived", call, f.seen.Load())
			}
			select {
			case <-answer:
				t.Error("the call went on")
			case <-time.After(100 * time.Millisecond):
			}
			test.gate.Open()
			if resp := <-answer; resp == nil || text(t, resp) != "fine" || f.seen.Load() != 1 {
				t.Error("the call didn't go on")
			}
		})
	}
}

func TestChange(t *testing.T) {
	f := newFixture(t, wire.S3, "fine")
	f.Add(&wire.Rule{Match: all, Do: wire.Change(func(a *wire.Answer) { a.Header.Set("ETag", "wrong") })})
	resp := f.call(t, http.MethodPut, "/b/k?partNumber=1", "part")
	if resp.Header.Get("ETag") != "wrong" || text(t, resp) != "fine" {
		t.Errorf("ETag %s", resp.Header.Get("ETag"))
	}
	if seen := resp.Header.Get("Seen"); seen != strings.TrimPrefix(f.url, "http://")+" part" {
		t.Errorf("the server saw %q: the host is what the signature covers", seen)
	}
}

// A caller whose clock is fast tells later times and is told earlier ones.
func TestSkewClock(t *testing.T) {
	f := newFixture(t, wire.DynamoDB, `{"lease":{"S":"2026-11-27T12:05:00.250Z"}}`)
	f.Add(&wire.Rule{Match: all, Do: wire.SkewClock(5 * time.Minute)})
	resp := f.call(t, http.MethodPost, "/", `{"now":"2026-11-27T12:00:00.000Z"}`)
	if got := text(t, resp); got != `{"lease":{"S":"2026-11-27T12:00:00.250Z"}}` {
		t.Errorf("told %s", got)
	}
	if got := resp.Header.Get("Seen"); !strings.Contains(got, `"2026-11-27T12:05:00.000Z"`) || resp.Header.Get("X-Amz-Crc32") != "" {
		t.Errorf("the server saw %s", got)
	}
}

// A rule that is removed applies no more.
func TestWire_Remove(t *testing.T) {
	f := newFixture(t, wire.S3, "fine")
	rule := f.Add(&wire.Rule{Match: all, Do: wire.Drop})
	if resp := f.call(t, http.MethodGet, "/b/k", ""); resp != nil {
		t.Error("the rule wasn't applied")
	}
	f.Remove(rule)
	if resp := f.call(t, http.MethodGet, "/b/k", ""); resp == nil {
		t.Error("the rule is still applied")
	}
}
