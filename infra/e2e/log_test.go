package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// logs returns the lines that a function has logged so far, in no order.
func (l *local) logs(t *testing.T, function string) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.Logs, function, "*.log"))
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

// invocations counts how often a function was invoked, by its log.
func (l *local) invocations(t *testing.T, function string) int {
	t.Helper()
	n := 0
	for _, line := range l.logs(t, function) {
		if bytes.HasPrefix(line, []byte("START RequestId: ")) {
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
