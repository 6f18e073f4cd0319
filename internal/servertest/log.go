package servertest

import (
	"bytes"
	"encoding/json"
	"log"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// Log takes the log over until the test's end. The returned function returns
// the lines since the last call by their members; a line that has a member
// twice is an error, since a reader sees one of them only.
func Log(t testing.TB) func() []map[string]any {
	t.Helper()
	var buffer lockedBuffer
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&buffer, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	return func() []map[string]any {
		t.Helper()
		var lines []map[string]any
		for line := range strings.Lines(buffer.take()) {
			var members map[string]any
			if err := json.Unmarshal([]byte(line), &members); err != nil {
				t.Fatal(err)
			}
			if n := countMembers(t, line); n != len(members) {
				t.Errorf("%d members, %d of them different: %s", n, len(members), line)
			}
			lines = append(lines, members)
		}
		return lines
	}
}

// countMembers counts the members of a JSON object, equal names too.
func countMembers(t testing.TB, object string) int {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	if _, err := d.Token(); err != nil { // the brace
		t.Fatal(err)
	}
	n := 0
	for ; d.More(); n++ {
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}
