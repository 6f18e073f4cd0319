package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

// logs returns the lines that a function has logged so far, in no order.
func (l *local) logs(t *testing.T, function string) [][]byte {
	t.Helper()
	files, err := l.LogFiles(function)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.Split(text, []byte("\n"))...)
	}
	return lines
}

// exports counts how often run-export was invoked, by the logs.
func (l *local) exports(t *testing.T) int {
	t.Helper()
	begun := "START RequestId: "
	if l.Functions == "sam" { // whose log is all functions' together
		begun = "/functions/RunExportFunction/invocations"
	}
	n := 0
	for _, line := range l.logs(t, "run-export") {
		if bytes.Contains(line, []byte(begun)) {
			n++
		}
	}
	return n
}

// logged returns when run-export logged a message about an export; the zero
// time if it didn't yet.
func (l *local) logged(t *testing.T, message, id string) time.Time {
	t.Helper()
	for _, line := range l.logs(t, "run-export") {
		var entry struct {
			Time          time.Time
			Msg, ExportID string
		}
		if json.Unmarshal(line, &entry) == nil && entry.Msg == message && entry.ExportID == id {
			return entry.Time
		}
	}
	return time.Time{}
}

// callersTrace is a caller's own (W3C Trace Context, "Traceparent header").
const callersTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// checkTrace looks for what the logs must tell of a completed export. Of
// run-export's, each line about it has the caller's trace and the invocation,
// those from the claim on its attempt, fence and dataset, and one is
// CloudWatch's to count its rows by. The request itself has the trace, too.
func (l *local) checkTrace(t *testing.T, s status) {
	t.Helper()
	if !slices.ContainsFunc(l.logs(t, "create-export"), func(text []byte) bool {
		var line struct{ Msg, Traceparent string }
		return json.Unmarshal(text, &line) == nil && line.Msg == "request" && line.Traceparent == callersTrace
	}) {
		t.Error("no request of create-export's log has the caller's trace")
	}
	var lines, counted int
	for _, text := range l.logs(t, "run-export") {
		var line struct {
			Msg, ExportID, Traceparent, LambdaRequestID, Stack, Dataset string

			Attempt, Fence int
			Rows           *int
			AWS            *struct{ Timestamp int64 } `json:"_aws"`
		}
		if json.Unmarshal(text, &line) != nil || line.ExportID != s.ExportID {
			continue
		}
		lines++
		if line.Traceparent != callersTrace || line.LambdaRequestID == "" || line.Stack == "" || line.Dataset != s.Dataset || line.Attempt != 1 || line.Fence != 1 {
			t.Errorf("the line doesn't say whose it is: %s", text)
		}
		if line.Rows != nil && line.AWS != nil {
			counted += *line.Rows
		}
	}
	if lines < 3 || counted != *s.Progress.TotalRows {
		t.Errorf("%d lines about the export, and %d rows counted, want some and %d", lines, counted, *s.Progress.TotalRows)
	}
}
