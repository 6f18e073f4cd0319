package console

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"

	"csvexport/infra/internal/loopback"
)

// front is the service as the browser reaches it: it passes everything on, and
// answers by itself what a case tells it to.
type front struct {
	URL string

	server *http.Server
	done   chan error

	mu      sync.Mutex
	answers []*answer
}

// answer stands in for the service's own.
type answer struct {
	method, path string // path: of the request, whole
	times        int    // how often; below 0: always

	pass       bool // the service gets the request, but its answer is lost
	half       bool // the service gets the request, but its answer breaks off
	status     int  // 0: the connection ends without an answer
	body       string
	mediaType  string
	retryAfter string
}

func newFront(service string) (*front, error) {
	target, err := url.Parse(service)
	if err != nil {
		return nil, err
	}
	listener, err := loopback.Listen(0)
	if err != nil {
		return nil, err
	}
	f := &front{URL: "http://" + listener.Addr().String(), done: make(chan error, 1)}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	f.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch a := f.take(r); {
		case a == nil:
		case a.pass:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case a.half:
			whole := httptest.NewRecorder()
			proxy.ServeHTTP(whole, r)
			breakOff(w, whole)
		default:
			a.write(w)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { f.done <- f.server.Serve(listener) }()
	return f, nil
}

func (f *front) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := f.server.Shutdown(ctx)
	if served := <-f.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// answerWith has the front answer a request by itself, until forget.
func (f *front) answerWith(a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = append(f.answers, &a)
}

func (f *front) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = nil
}

func (f *front) take(r *http.Request) *answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.answers {
		if a.method == r.Method && a.path == r.URL.Path && a.times != 0 {
			a.times--
			return a
		}
	}
	return nil
}

// breakOff sends half of an answer, and ends the connection.
func breakOff(w http.ResponseWriter, whole *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), whole.Header())
	w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2]) // the browser may have gone
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func (a *answer) write(w http.ResponseWriter) {
	if a.status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", a.mediaType)
	w.Header().Set("Cache-Control", "no-store")
	if a.retryAfter != "" {
		w.Header().Set("Retry-After", a.retryAfter)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body)) // the browser may have gone
}
