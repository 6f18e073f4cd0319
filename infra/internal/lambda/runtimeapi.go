package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// runtimeServer is an environment's Runtime API on a loopback port.
type runtimeServer struct {
	address string
	server  *http.Server
	done    chan struct{}
}

// serveRuntime serves the version 2018-06-01 of AWS's Lambda Runtime API.
func (e *environment) serveRuntime() (*runtimeServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the Runtime API: %w", err)
	}
	const root = "/2018-06-01/runtime"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"/invocation/next", e.next)
	mux.HandleFunc("POST "+root+"/invocation/{id}/response", e.response)
	mux.HandleFunc("POST "+root+"/invocation/{id}/error", e.failure)
	mux.HandleFunc("POST "+root+"/init/error", e.initFailure)
	s := &runtimeServer{
		address: listener.Addr().String(), done: make(chan struct{}),
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(listener) // always ends with ErrServerClosed
	}()
	return s, nil
}

func (s *runtimeServer) close() {
	_ = s.server.Close()
	<-s.done
}

// next blocks until there is an invocation for the process.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	e.init.Do(func() { close(e.ready) })
	select {
	case <-r.Context().Done():
	case inv := <-e.offers:
		e.log.start(inv.id)
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		header.Set("Lambda-Runtime-Invoked-Function-Arn", e.function.ARN)
		header.Set("Lambda-Runtime-Trace-Id", inv.traceID)
		close(inv.begun)
		_, _ = w.Write(inv.payload) // a process that can't read it has ended, which is noticed
	}
}

// inFlight is the invocation that a request names; nil after it has answered the request.
func (e *environment) inFlight(w http.ResponseWriter, r *http.Request) *invocation {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil || e.current.id != r.PathValue("id") {
		reply(w, http.StatusBadRequest, map[string]string{"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"})
		return nil
	}
	return e.current
}

// response takes the function's answer, which may be up to maxResponse long.
func (e *environment) response(w http.ResponseWriter, r *http.Request) {
	inv := e.inFlight(w, r)
	if inv == nil {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		inv.settle(inv.failed("Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse)))
		reply(w, http.StatusRequestEntityTooLarge, map[string]string{"errorType": "RequestEntityTooLarge", "errorMessage": "the response is too large"})
		return
	}
	if err != nil {
		return // the process went away, which is noticed
	}
	a := answer{payload: body}
	// A function that fails while it writes its answer says so in trailers.
	if errorType := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); errorType != "" {
		a.errorType = errorType
		if a.payload, err = base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body")); err != nil {
			a = inv.failed(errorType, "the error's body is not base64")
		}
	}
	inv.settle(a)
	accept(w)
}

// failure takes the error that the function returned.
func (e *environment) failure(w http.ResponseWriter, r *http.Request) {
	inv := e.inFlight(w, r)
	if inv == nil {
		return
	}
	a, err := readError(w, r)
	if err != nil {
		return // the process went away, which is noticed
	}
	inv.settle(a)
	accept(w)
}

// initFailure takes the reason why the function can't start; the process ends after it.
func (e *environment) initFailure(w http.ResponseWriter, r *http.Request) {
	a, err := readError(w, r)
	if err != nil {
		return
	}
	a.fatal = true
	e.mu.Lock()
	e.initError = &a
	e.mu.Unlock()
	accept(w)
}

// settle gives the invocation its answer; a second one is dropped.
func (inv *invocation) settle(a answer) {
	select {
	case inv.answer <- a:
	default:
	}
}

// readError reads an error as the runtime reports it: an object with errorMessage and errorType.
func readError(w http.ResponseWriter, r *http.Request) (answer, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	if err != nil {
		return answer{}, err
	}
	var object struct{ ErrorType string }
	_ = json.Unmarshal(body, &object) // the body is passed on whatever it is
	a := answer{payload: body, errorType: object.ErrorType}
	if a.errorType == "" {
		a.errorType = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	if a.errorType == "" {
		a.errorType = "Runtime.Unknown"
	}
	return a, nil
}

func accept(w http.ResponseWriter) { reply(w, http.StatusAccepted, map[string]string{"status": "OK"}) }

// reply writes a JSON answer.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer may be gone
}
