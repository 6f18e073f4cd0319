// Package recorder stands between functions and the emulators of AWS services
// and tells, of every call, which invocation made it and when.
//
// A function's AWS SDK sends its invocation's trace id with each call, as
// X-Amzn-Trace-Id (aws-sdk-go-v2, aws/middleware/recursion_detection.go). A
// [lambda.Report] holds the same id, so the two can be joined.
package recorder

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"csvexport/infra/internal/loopback"
)

const (
	// connections to an emulator that are kept between calls: one for each
	// call in flight is enough.
	keptConnections = 100
	// idleTimeout is below the emulator's own, so that no call meets a
	// connection that the other side is closing.
	idleTimeout = time.Second
)

// Call is one request of a function, as seen before the emulator.
type Call struct {
	Begin time.Time // its header has come
	End   time.Time // its answer has been handed on
}

// Recorder records what its proxies see. Its methods may be called from any
// goroutine.
type Recorder struct {
	transport *http.Transport
	servers   []*http.Server
	work      sync.WaitGroup

	mu    sync.Mutex
	calls map[string][]Call
}

// New returns a recorder without proxies; end it by [Recorder.Close].
func New() *Recorder {
	return &Recorder{
		calls: map[string][]Call{},
		transport: &http.Transport{ // no proxy of the shell's
			MaxIdleConnsPerHost: keptConnections, IdleConnTimeout: idleTimeout, DisableCompression: true,
		},
	}
}

// Proxy serves the target, a base URL, on a loopback port until Close, and
// returns that base URL. It must not be called from several goroutines at once.
func (r *Recorder) Proxy(target string) (string, error) {
	to, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("record calls of %s: %w", target, err)
	}
	listener, err := loopback.Listen(0)
	if err != nil {
		return "", err
	}
	proxy := &httputil.ReverseProxy{
		Transport: r.transport,
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(to) },
	}
	server := &http.Server{Handler: r.record(proxy), ReadHeaderTimeout: 10 * time.Second}
	r.servers = append(r.servers, server)
	r.work.Go(func() { _ = server.Serve(listener) }) // ends by Close
	return "http://" + listener.Addr().String(), nil
}

func (r *Recorder) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		call, trace := Call{Begin: time.Now()}, req.Header.Get("X-Amzn-Trace-Id")
		defer func() { // also when the function is gone, which is a panic here
			call.End = time.Now()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.calls[trace] = append(r.calls[trace], call)
		}()
		next.ServeHTTP(w, req)
	})
}

// Take returns the calls that have ended, by trace id, and forgets them. Calls
// without a trace id are under the empty one.
func (r *Recorder) Take() map[string][]Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = map[string][]Call{}
	return calls
}

// Close ends the proxies and the calls in flight.
func (r *Recorder) Close() error {
	var err error
	for _, server := range r.servers {
		err = errors.Join(err, server.Close())
	}
	r.work.Wait()
	r.transport.CloseIdleConnections()
	return err
}
