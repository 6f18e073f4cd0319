package lambda

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"time"
)

// routes sets up the version 2015-03-31 of AWS's Lambda Invoke API, and two
// routes of the local stack's own.
func (h *Host) routes() {
	h.mux = http.NewServeMux()
	h.mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", h.serveInvoke)
	h.mux.HandleFunc("GET /local/environments", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, h.Environments())
	})
	h.mux.HandleFunc("GET /local/reports", func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("function")
		if name != "" {
			f, err := h.function(name)
			if err != nil {
				refuse(w, err)
				return
			}
			name = f.Name
		}
		reply(w, http.StatusOK, h.Reports(name))
	})
}

// ServeHTTP serves AWS's Lambda Invoke API:
// POST /2015-03-31/functions/{name or ARN}/invocations. GET /local/environments
// and GET /local/reports?function=NAME answer what Environments and Reports return.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Host) serveInvoke(w http.ResponseWriter, r *http.Request) {
	f, err := h.function(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	// One byte more than is allowed, so that newInvocation sees it.
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return // the caller is gone
	}
	inv, err := newInvocation(f, payload, r.Header.Get("X-Amzn-Trace-Id"))
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("X-Amzn-Requestid", inv.id)
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	case "Event":
		h.enqueue(inv)
		w.WriteHeader(http.StatusAccepted)
	case "", "RequestResponse":
		h.serveResult(w, r, inv)
	default:
		refuse(w, &Error{Status: http.StatusBadRequest, Code: "InvalidParameterValueException", Message: "Unknown invocation type: " + kind})
	}
}

func (h *Host) serveResult(w http.ResponseWriter, r *http.Request, inv *invocation) {
	result, err := h.invoke(r.Context(), inv)
	if err != nil {
		refuse(w, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Amz-Executed-Version", "$LATEST")
	if result.FunctionError != "" {
		header.Set("X-Amz-Function-Error", result.FunctionError)
	}
	if r.Header.Get("X-Amz-Log-Type") == "Tail" {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(result.LogTail)))
	}
	_, _ = w.Write(result.Payload) // the caller may be gone
}

// enqueue runs an asynchronous invocation as soon as an environment is free.
// Its errors are in the log only, and it is not retried.
func (h *Host) enqueue(inv *invocation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.work.Add(1)
	go func() {
		defer h.work.Done()
		for {
			_, err := h.invoke(context.Background(), inv)
			var busy *Error
			if !errors.As(err, &busy) || busy.Status != http.StatusTooManyRequests {
				return
			}
			select {
			case <-h.closing:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
}

// refuse answers an error in AWS's form.
func refuse(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Status: http.StatusInternalServerError, Code: "ServiceException", Message: err.Error()}
	}
	kind := "User"
	if e.Status >= http.StatusInternalServerError {
		kind = "Server"
	}
	body := map[string]string{"Type": kind, "message": e.Message}
	if e.Reason != "" {
		body["Reason"] = e.Reason
	}
	w.Header().Set("X-Amzn-Errortype", e.Code)
	reply(w, e.Status, body)
}
