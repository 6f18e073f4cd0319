package api

import (
	"context"
	"net/http"
	"regexp"
	"strings"
)

type traceKey struct{}

// withTrace returns the request with its trace; see traceOf.
func withTrace(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), traceKey{}, traceparent(r)))
}

// traceOf returns the request's trace, which every handler of this package is
// given: the same each time.
func traceOf(r *http.Request) string {
	trace, _ := r.Context().Value(traceKey{}).(string)
	return trace
}

// w3cTrace is what W3C Trace Context, "traceparent Header Field Values", says
// of every version: the identifiers of trace and parent, and flags. Only later
// versions may go on after it.
var w3cTrace = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)

// xrayRoot is the trace in a header of AWS X-Ray, which API Gateway gives each
// request (X-Ray Developer Guide, "Tracing header"); as a W3C trace it has the
// same digits.
var xrayRoot = regexp.MustCompile(`(?:^|;)Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)`)

// traceparent is the caller's trace (W3C Trace Context, version 00), or else
// API Gateway's or a new one.
func traceparent(r *http.Request) string {
	if given := r.Header.Values("Traceparent"); len(given) == 1 {
		if trace := readTraceparent(given[0]); trace != "" {
			return trace
		}
	}
	if m := xrayRoot.FindStringSubmatch(r.Header.Get("X-Amzn-Trace-Id")); m != nil && !zero(m[1]+m[2]) {
		return "00-" + m[1] + m[2] + "-" + randomHex(8) + "-01"
	}
	return "00-" + randomHex(16) + "-" + randomHex(8) + "-01"
}

// readTraceparent returns a header's value in version 00; empty if it isn't valid.
func readTraceparent(value string) string {
	m := w3cTrace.FindStringSubmatch(value)
	if m == nil || m[1] == "ff" || m[1] == "00" && m[5] != "" || zero(m[2]) || zero(m[3]) {
		return ""
	}
	return "00-" + m[2] + "-" + m[3] + "-" + m[4]
}

func zero(digits string) bool { return strings.Trim(digits, "0") == "" }
