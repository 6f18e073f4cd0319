// Package wire stands between functions and the stand-ins of AWS services, and
// makes calls fail as networks, services and clocks do: a request that never
// arrives, an answer that is lost though the request went through, a refusal,
// a silence, or a stop at which the caller can be killed.
//
// What happens to which calls is said by rules, at any time. A rule counts the
// calls that it was applied to, so that a test can tell whether its fault fired.
package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/loopback"
)

const (
	// maxRead is how much of a body is read to look into it: no more than
	// DynamoDB and SQS take. What S3 is sent is passed on unseen.
	maxRead = 4 << 20
	// keptConnections to a stand-in are kept between calls, for less time than
	// the stand-ins' own, so that no call meets a connection that is closing.
	keptConnections = 100
	idleTimeout     = time.Second
	settleTimeout   = 30 * time.Second
)

// Call is one request of a function.
type Call struct {
	Service   Service
	Operation string // as the API names it: UploadPart, TransactWriteItems, SendMessage
	Function  string // who calls, by its AWS_SDK_UA_APP_ID; empty if it doesn't say
	AccessKey string // what the request is signed with
	Path      string // of S3: bucket and key
	Query     url.Values
	Header    http.Header
	Body      string // of all services but S3, and of its DeleteObjects
	Address   string // the caller's end of the connection
	Proxy     string // the wire's end
	At        time.Time
}

// About reports whether the call names an export: by its key in S3, its item
// in DynamoDB, or its id in a message.
func (c Call) About(id string) bool {
	return strings.Contains(c.Path, id) || strings.Contains(c.Body, id)
}

// Service is an AWS service.
type Service string

// The services.
const (
	S3          Service = "S3"
	DynamoDB    Service = "DynamoDB"
	SQS         Service = "SQS"
	EventBridge Service = "EventBridge"
	STS         Service = "STS"
)

// Rule says what happens to which calls. A call meets the first rule that
// applies, in the order in which they were added.
type Rule struct {
	Match func(Call) bool
	Do    Action
	Times int // to how many calls it applies; 0: all

	mu    sync.Mutex
	fired []Call
}

// Fired returns the calls that the rule was applied to.
func (r *Rule) Fired() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Call(nil), r.fired...)
}

// take reports whether the rule applies to the call.
func (r *Rule) take(c Call) bool {
	if !r.Match(c) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Times > 0 && len(r.fired) == r.Times {
		return false
	}
	r.fired = append(r.fired, c)
	return true
}

// Wire holds the proxies and their rules. Its methods may be called from any
// goroutine, but for Proxy.
type Wire struct {
	client  *http.Client
	watch   func(Call, Answer)
	servers []*http.Server
	work    sync.WaitGroup // of the servers
	calls   sync.WaitGroup // under way
	closed  chan struct{}

	mu    sync.Mutex
	rules []*Rule
}

// New returns a wire without proxies; end it by Close.
func New() *Wire {
	return &Wire{closed: make(chan struct{}), client: &http.Client{
		Transport: &http.Transport{ // no proxy of the shell's
			MaxIdleConnsPerHost: keptConnections, IdleConnTimeout: idleTimeout, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Watch has f told of each call that the service answered, by any goroutine and
// before the caller gets the answer. It must be called before Proxy.
func (w *Wire) Watch(f func(Call, Answer)) { w.watch = f }

// Intercept returns the endpoints with proxies in the services' place.
func (w *Wire) Intercept(e localaws.Endpoints, services ...Service) (localaws.Endpoints, error) {
	urls := map[Service]*string{S3: &e.S3, SQS: &e.SQS, DynamoDB: &e.DynamoDB, EventBridge: &e.Events, STS: &e.STS}
	for _, service := range services {
		proxy, err := w.Proxy(service, *urls[service])
		if err != nil {
			return e, err
		}
		*urls[service] = proxy
	}
	return e, nil
}

// Proxy serves the target, a base URL, on a loopback port until Close, and
// returns that base URL.
func (w *Wire) Proxy(service Service, target string) (string, error) {
	to, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("proxy of %s: %w", target, err)
	}
	listener, err := loopback.Listen(0)
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.calls.Add(1)
		defer w.calls.Done()
		w.serve(&Exchange{wire: w, target: to, w: rw, r: r, Call: Call{Service: service}})
	})}
	w.servers = append(w.servers, server)
	w.work.Go(func() { _ = server.Serve(listener) }) // ends by Close
	return "http://" + listener.Addr().String(), nil
}

// Add adds a rule, which is in force until Remove.
func (w *Wire) Add(r *Rule) *Rule {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = append(w.rules, r)
	return r
}

// Remove ends a rule. Calls that it holds are not let go by that.
func (w *Wire) Remove(r *Rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.rules[:0:0]
	for _, other := range w.rules {
		if other != r {
			kept = append(kept, other)
		}
	}
	w.rules = kept
}

// Close ends the proxies and the calls in flight.
func (w *Wire) Close() error {
	close(w.closed)
	var err error
	for _, server := range w.servers {
		err = errors.Join(err, server.Close())
	}
	w.work.Wait()
	w.calls.Wait()
	w.client.CloseIdleConnections()
	return err
}

func (w *Wire) serve(x *Exchange) {
	if err := x.look(); err != nil {
		x.Hangup()
	}
	w.mu.Lock()
	rules := w.rules
	w.mu.Unlock()
	for _, rule := range rules {
		if rule.take(x.Call) {
			rule.Do(x)
			return
		}
	}
	Pass(x)
}

// Exchange is a call under way.
type Exchange struct {
	Call

	wire   *Wire
	target *url.URL
	w      http.ResponseWriter
	r      *http.Request
	body   io.Reader
}

// look reads what the call is about.
func (x *Exchange) look() error {
	x.Function, x.AccessKey, x.Header = function(x.r.UserAgent()), accessKey(x.r), x.r.Header
	x.Path, x.Query, x.Address, x.At = x.r.URL.Path, x.r.URL.Query(), x.r.RemoteAddr, time.Now()
	if local, ok := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		x.Proxy = local.String()
	}
	x.body = x.r.Body
	var err error
	if x.Service != S3 || operationOfS3(x.r) == "DeleteObjects" {
		var text []byte
		text, err = io.ReadAll(io.LimitReader(x.r.Body, maxRead))
		x.Body, x.body = string(text), bytes.NewReader(text)
	}
	x.Operation = operation(x.Service, x.r, x.Body)
	return err
}

// Answer is what a service says to a call.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Forward sends the request to the service and returns its answer. It may be
// called once. When the service gives none, neither does the caller get any.
func (x *Exchange) Forward() Answer { return x.forward(x.r.Context(), x.body, x.r.ContentLength) }

// Settle is Forward that goes on for a while when the caller has sent all and
// is gone: afterwards it is known what the service did.
func (x *Exchange) Settle() Answer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), settleTimeout)
	defer cancel()
	return x.forward(ctx, x.body, x.r.ContentLength)
}

// ForwardBody is Forward with another body.
func (x *Exchange) ForwardBody(body string) Answer {
	return x.forward(x.r.Context(), strings.NewReader(body), int64(len(body)))
}

func (x *Exchange) forward(ctx context.Context, body io.Reader, length int64) Answer {
	to := *x.r.URL
	to.Scheme, to.Host = x.target.Scheme, x.target.Host
	out, err := http.NewRequestWithContext(ctx, x.r.Method, to.String(), body)
	if err != nil {
		x.Hangup()
	}
	out.Header = x.r.Header.Clone()
	out.Header.Del("Expect") // answered here
	out.Host = x.r.Host      // the signature covers it
	out.ContentLength = length
	if length == 0 {
		out.Body = http.NoBody
	}
	resp, err := x.wire.client.Do(out)
	if err != nil {
		x.Hangup()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		x.Hangup()
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Body: text}
	if x.wire.watch != nil {
		x.wire.watch(x.Call, a)
	}
	return a
}

// Reply gives the caller an answer.
func (x *Exchange) Reply(a Answer) {
	for name, values := range a.Header {
		x.w.Header()[name] = values
	}
	if x.r.Method != http.MethodHead {
		x.w.Header().Set("Content-Length", fmt.Sprint(len(a.Body)))
	}
	x.w.WriteHeader(a.Status)
	_, _ = x.w.Write(a.Body) // the caller may be gone
}

// Hangup breaks the connection. It doesn't return.
func (x *Exchange) Hangup() { panic(http.ErrAbortHandler) }

// wait waits until it is released. It reports whether it was: the caller may go
// before, or the wire be closed.
func (x *Exchange) wait(released <-chan struct{}) (ok bool) {
	select {
	case <-released:
		return true
	case <-x.r.Context().Done():
	case <-x.wire.closed:
	}
	return false
}
