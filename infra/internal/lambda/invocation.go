package lambda

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// AWS's bounds of a synchronous invocation, in bytes.
const (
	maxRequest  = 6 * 1024 * 1024
	maxResponse = 6*1024*1024 + 100
)

// Error says why a function was not run. It is what the Invoke API answers.
type Error struct {
	Status  int    // of the HTTP answer
	Code    string // AWS's name of the exception
	Message string
	Reason  string // of a TooManyRequestsException
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Result is the answer of a function that was run.
type Result struct {
	Payload       []byte // JSON; for a function error an object with errorMessage and errorType
	FunctionError string // empty, or Unhandled
	LogTail       string // the last 4 KiB of this invocation's log
	Report
}

// Report tells what an invocation took, as the REPORT line of its log does.
type Report struct {
	Function       string        `json:"function"` // the function's name
	RequestID      string        `json:"requestId"`
	TraceID        string        `json:"traceId"`   // what the function's AWS SDK sends as X-Amzn-Trace-Id
	Status         string        `json:"status"`    // success, error or timeout
	ErrorType      string        `json:"errorType"` // empty on success
	Start          time.Time     `json:"start"`     // of the invocation, after a cold start's init
	Duration       time.Duration `json:"durationNanos"`
	InitDuration   time.Duration `json:"initDurationNanos"` // 0 unless this was a cold start
	BilledDuration time.Duration `json:"billedDurationNanos"`
	MemoryMB       int           `json:"memoryMb"`
	MaxMemoryMB    int           `json:"maxMemoryMb"` // of the process so far; 0 where the system has no /proc
	PID            int           `json:"pid"`
	LogFile        string        `json:"logFile"`
}

// invocation is one call on its way through an environment.
type invocation struct {
	function *Function
	id       string
	traceID  string
	payload  []byte
	deadline time.Time     // set when it is offered to the runtime
	begun    chan struct{} // closed once the runtime has it
	answer   chan answer   // has room for the one answer
}

// answer is how an invocation ended.
type answer struct {
	payload   []byte
	errorType string // empty: the function succeeded
	timedOut  bool
	fatal     bool // the environment can't be used again
}

func newInvocation(f *Function, payload []byte, traceID string) (*invocation, error) {
	if len(payload) > maxRequest {
		return nil, &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "RequestTooLargeException",
			Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxRequest),
		}
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		return nil, &Error{
			Status: http.StatusBadRequest, Code: "InvalidRequestContentException",
			Message: "Could not parse request body into json: the payload is not valid JSON",
		}
	}
	if traceID == "" {
		traceID = newTraceID(time.Now())
	}
	return &invocation{
		function: f, id: uuid.NewString(), traceID: traceID, payload: payload,
		begun: make(chan struct{}), answer: make(chan answer, 1),
	}, nil
}

// newTraceID is an unsampled X-Ray trace header.
func newTraceID(now time.Time) string {
	var random [20]byte
	_, _ = rand.Read(random[:]) // never fails: see crypto/rand
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", now.Unix(), hex.EncodeToString(random[:12]), hex.EncodeToString(random[12:]))
}

// failed is the answer that Lambda itself gives for a function that did not.
func (inv *invocation) failed(errorType, message string) answer {
	payload, err := json.Marshal(map[string]string{
		"errorType":    errorType,
		"errorMessage": "RequestId: " + inv.id + " Error: " + message,
	})
	if err != nil {
		panic(err) // two strings can always be encoded
	}
	return answer{payload: payload, errorType: errorType, fatal: true}
}

func (inv *invocation) timedOut(after time.Duration) answer {
	a := inv.failed("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", after.Seconds()))
	a.timedOut = true
	return a
}
