package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	clientToken  = "a.bearer.token"
	expiredError = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
)

// clientWire stands between a client program and the service and its S3, and
// makes what a client must be able to meet. Each URL that it hands out for a
// file is good for one request, as if it had expired by the next one.
type clientWire struct {
	trouble
	service, storage *httptest.Server

	mu     sync.Mutex
	calls  []clientCall
	polls  int
	asked  int      // requests for a file
	signed []string // where the URLs that were handed out lead to; empty when one was used
	wrong  []error
}

// trouble is what goes wrong on a wire; nothing by default.
type trouble struct {
	body    string                             // is sent instead of each create's
	busy    int                                // creates that are answered by a 429 before one passes
	expired int                                // which request for a file is refused, as if its URL had expired on the way; 0 for none, the first one being 0
	edit    func(poll int, s map[string]any)   // changes a status that was asked for, the first one being 0
	spoil   func(n int, file []byte) (cut int) // changes a file's answer, the first one being 0, and tells how much of it arrives
}

// clientCall is a request that passed, and its answer as the service gave it.
type clientCall struct {
	at, answered time.Time
	request      *http.Request
	body         string
	answer       answer
}

func newClientWire(t *testing.T, wrong trouble) *clientWire {
	t.Helper()
	w := &clientWire{trouble: wrong}
	w.storage = httptest.NewServer(http.HandlerFunc(w.serveStorage)) // first, because the service names it
	w.service = httptest.NewServer(http.HandlerFunc(w.serveService))
	t.Cleanup(func() {
		w.service.Close()
		w.storage.Close()
		for _, err := range w.wrong {
			t.Error(err)
		}
		for _, c := range w.calls {
			checkContract(t, shared.BaseURL, c.request, c.body, c.answer)
		}
	})
	return w
}

// url is the service's, below a stage as in AWS.
func (w *clientWire) url() string { return w.service.URL + "/v1" }

// having returns the calls with a method and a path that ends so.
func (w *clientWire) having(method, suffix string) []clientCall {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []clientCall
	for _, c := range w.calls {
		if c.request.Method == method && strings.HasSuffix(c.request.URL.Path, suffix) {
			found = append(found, c)
		}
	}
	return found
}

// files are the requests that reached S3.
func (w *clientWire) files() []clientCall { return w.having(http.MethodGet, ".csv.gz") }

func (w *clientWire) serveService(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := r.Header.Get("Authorization"); got != "Bearer "+clientToken {
		w.wrong = append(w.wrong, fmt.Errorf("%s %s: Authorization %q", r.Method, r.URL, got))
	}
	create := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/exports/csv")
	if create && w.body != "" {
		r.Body = io.NopCloser(strings.NewReader(w.body))
	}
	var call clientCall
	var err error
	if create && w.busy > 0 {
		w.busy--
		call, err = busyCall(r)
	} else {
		call, err = forward(r, shared.BaseURL+r.URL.RequestURI())
	}
	if err != nil {
		w.fail(rw, err)
		return
	}
	w.calls = append(w.calls, call)
	a := call.answer
	switch {
	case strings.HasSuffix(r.URL.Path, "/status") && w.edit != nil && a.status == http.StatusOK:
		a.body, err = edited(a.body, func(s map[string]any) { w.edit(w.polls, s) })
		w.polls++
	case strings.HasSuffix(r.URL.Path, "/download") && a.status == http.StatusFound:
		a.header = a.header.Clone()
		a.header.Set("Location", w.sign(a.header.Get("Location")))
	case strings.HasSuffix(r.URL.Path, "/download") && a.status == http.StatusOK:
		a.body, err = edited(a.body, func(s map[string]any) { s["url"] = w.sign(s["url"].(string)) })
	}
	if err != nil {
		w.fail(rw, err)
		return
	}
	write(rw, a, len(a.body))
}

// busyCall is a create that is answered as if the owner's quota were used up.
func busyCall(r *http.Request) (clientCall, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return clientCall{}, err
	}
	sent, err := http.NewRequestWithContext(r.Context(), r.Method, shared.BaseURL+r.URL.RequestURI(), http.NoBody)
	if err != nil {
		return clientCall{}, err
	}
	sent.Header = r.Header.Clone()
	header := http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Retry-After": {"2"}}
	problem := `{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"Too many.","code":"too_many_exports","requestId":"1","error":"Too many."}`
	return clientCall{time.Now(), time.Now(), sent, string(body), answer{http.StatusTooManyRequests, header, []byte(problem)}}, nil
}

func (w *clientWire) fail(rw http.ResponseWriter, err error) {
	w.wrong = append(w.wrong, err)
	http.Error(rw, err.Error(), http.StatusTeapot)
}

// sign returns a URL of the wire that leads to one of S3's, once.
func (w *clientWire) sign(target string) string {
	w.signed = append(w.signed, target)
	u, err := url.Parse(target)
	if err != nil {
		w.wrong = append(w.wrong, err)
		return target
	}
	return fmt.Sprintf("%s/%d%s", w.storage.URL, len(w.signed)-1, u.RequestURI())
}

func (w *clientWire) serveStorage(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Header.Get("Authorization") != "" { // S3: one way to sign in is enough
		w.wrong = append(w.wrong, fmt.Errorf("S3 got an Authorization header: %s", r.URL))
		http.Error(rw, "<Error><Code>InvalidArgument</Code></Error>", http.StatusBadRequest)
		return
	}
	w.asked++
	if w.expired > 0 && w.asked == w.expired+1 {
		http.Error(rw, expiredError, http.StatusForbidden)
		return
	}
	number, _, _ := strings.Cut(r.URL.Path[1:], "/")
	n, err := strconv.Atoi(number)
	if err != nil || n >= len(w.signed) || w.signed[n] == "" {
		w.wrong = append(w.wrong, fmt.Errorf("an old URL was asked for again: %s", r.URL))
		http.Error(rw, expiredError, http.StatusForbidden)
		return
	}
	call, err := forward(r, w.signed[n])
	w.signed[n] = ""
	if err != nil {
		w.fail(rw, err)
		return
	}
	nth := 0
	for _, c := range w.calls {
		if strings.HasSuffix(c.request.URL.Path, ".csv.gz") {
			nth++
		}
	}
	w.calls = append(w.calls, call)
	cut := len(call.answer.body)
	if w.spoil != nil {
		cut = w.spoil(nth, call.answer.body)
	}
	write(rw, call.answer, cut)
}

// forward sends a request on and reads the answer. The call's request is
// the one that was sent.
func forward(r *http.Request, target string) (clientCall, error) {
	c := clientCall{at: time.Now()}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return c, err
	}
	c.body = string(body)
	if c.request, err = http.NewRequestWithContext(r.Context(), r.Method, target, bytes.NewReader(body)); err != nil {
		return c, err
	}
	c.request.Header = r.Header.Clone()
	c.request.Header.Del("Connection")
	c.request.Header.Set("Accept-Encoding", "identity") // or the transport would unpack
	resp, err := browser.Do(c.request)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	c.answer = answer{status: resp.StatusCode, header: resp.Header}
	c.answer.body, err = io.ReadAll(resp.Body)
	c.answered = time.Now()
	return c, err
}

// write answers with the first bytes of a body, and ends the connection after
// them if they aren't all.
func write(rw http.ResponseWriter, a answer, cut int) {
	for name, values := range a.header {
		rw.Header()[name] = values
	}
	rw.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	rw.WriteHeader(a.status)
	_, err := rw.Write(a.body[:cut])
	if err == nil {
		err = http.NewResponseController(rw).Flush()
	}
	if err != nil || cut < len(a.body) {
		panic(http.ErrAbortHandler)
	}
}

func edited(text []byte, edit func(map[string]any)) ([]byte, error) {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	edit(object)
	return json.Marshal(object)
}
