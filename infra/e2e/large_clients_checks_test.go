package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// noRows is the body of a create whose export is small.
const noRows = `{"dataset":"users","filters":{"country_code":"ZZ"}}`

// checkRefused has the service refuse the request for two reasons.
func (p clientProgram) checkRefused(t *testing.T) {
	w := newClientWire(t, trouble{body: `{"datset":"users","filters":{"country_code":"usa"}}`})
	p.checkFails(t, w, "The request isn't valid", "datset: is not a field of this request", "filters.country_code: ")
	if n := len(w.having(http.MethodPost, "/csv")); n != 1 {
		t.Errorf("it sent a request that isn't valid %d times", n)
	}
}

// checkNotCompleted has the status say that the export ended in another way.
func (p clientProgram) checkNotCompleted(t *testing.T, status string) {
	w := newClientWire(t, trouble{body: noRows, edit: func(_ int, s map[string]any) {
		s["status"], s["done"], s["phase"], s["error"], s["file"] = status, true, nil, "It was the moon's fault.", nil
	}})
	p.checkFails(t, w, status, "It was the moon's fault.")
	if n := len(w.having(http.MethodGet, "/download")); n > 0 {
		t.Errorf("it asked for the file of an export that is %s", status)
	}
}

// checkDamaged changes a byte of the file on the way that only the checksum of
// the packed file knows: of the time in gzip's header (RFC 1952, 2.3.1).
func (p clientProgram) checkDamaged(t *testing.T) {
	w := newClientWire(t, trouble{body: noRows, spoil: func(_ int, file []byte) int {
		file[4] ^= 1
		return len(file)
	}})
	p.checkFails(t, w, "damaged")
}

// checkCompletes has one create answered by a 429, one status be a word that
// nobody knows, the file's connection end in its middle, and the next URL for
// it be refused.
func (p clientProgram) checkCompletes(t *testing.T, dir string) {
	half := func(n int, file []byte) int {
		if n > 0 {
			return len(file)
		}
		return len(file) / 2
	}
	w := newClientWire(t, trouble{busy: 1, expired: 1, spoil: half, edit: func(poll int, s map[string]any) {
		if poll == 0 {
			s["status"], s["done"], s["phase"], s["file"] = "resting", false, nil, nil
		}
	}})
	stdout, stderr, code := p.run(t, dir, w)
	if code != 0 {
		t.Fatalf("status %d\n%s", code, stderr)
	}
	saved := p.result(t, dir, stdout)
	want := shared.psql(t, "COPY ("+p.query+") TO STDOUT (FORMAT csv"+p.options+")")
	if p.packed {
		checkSum(t, sha256.Sum256(want), outputSum(t, []string{"gzip", "-dc", filepath.Join(dir, p.saved)}))
	} else if !bytes.Equal(saved, want) {
		t.Errorf("it finds %d bytes, which aren't psql's %d", len(saved), len(want))
	}
	p.checkManners(t, w)
	p.checkResumed(t, w)
	t.Run("again", func(t *testing.T) { p.checkAgain(t, w, saved) })
}

// checkManners looks at how often the service was asked, and for what.
func (p clientProgram) checkManners(t *testing.T, w *clientWire) {
	t.Helper()
	creates, polls := w.having(http.MethodPost, "/csv"), w.having(http.MethodGet, "/status")
	if len(creates) != 2 || len(polls) < 2 {
		t.Fatalf("%d creates and %d polls, want 2 and at least 2", len(creates), len(polls))
	}
	first, second := creates[0].request.Header.Get("Idempotency-Key"), creates[1].request.Header.Get("Idempotency-Key")
	if first == "" || first != second || creates[0].body != creates[1].body {
		t.Errorf("it repeats the request with another key (%q, %q) or body", first, second)
	}
	const early = 10 * time.Millisecond // a timer of Node's may be
	if waited := creates[1].at.Sub(creates[0].answered); waited < 2*time.Second-early {
		t.Errorf("it asks again after %v, where Retry-After says 2 s", waited)
	}
	last := creates[1].answered
	for _, c := range polls {
		if waited := c.at.Sub(last); waited < time.Second-early {
			t.Errorf("it polls after %v, want a second at least", waited)
		}
		last = c.answered
	}
}

// checkResumed checks that the second request that S3 served asked for what
// was missing, and that there was no third.
func (p clientProgram) checkResumed(t *testing.T, w *clientWire) {
	t.Helper()
	files := w.files()
	if len(files) != 2 || len(files[0].answer.body) < 2_000_000 {
		t.Fatalf("%d requests for a file of %d bytes, want 2 for some MB", len(files), len(files[0].answer.body))
	}
	cut := len(files[0].answer.body) / 2
	var from int
	if _, err := fmt.Sscanf(files[1].request.Header.Get("Range"), "bytes=%d-", &from); err != nil {
		t.Fatalf("Range %q: %v", files[1].request.Header.Get("Range"), err)
	}
	// Node's fetch drops what it has read and not yet handed on when a connection ends.
	if from > cut || from < cut && p.file != "export.mjs" || from < cut/2 {
		t.Errorf("it asks for the bytes from %d on, and %d have arrived", from, cut)
	}
	if rest := len(files[1].answer.body); files[1].answer.status != http.StatusPartialContent || rest != len(files[0].answer.body)-from {
		t.Errorf("it gets a %d with %d bytes, want the rest only", files[1].answer.status, rest)
	}
}

// checkAgain runs the program with the export's id, as somebody would whose
// first run was ended; where it keeps what has arrived, with a part of that.
func (p clientProgram) checkAgain(t *testing.T, before *clientWire, saved []byte) {
	id := strings.Split(before.having(http.MethodGet, "/status")[0].request.URL.Path, "/")[3]
	dir, w := t.TempDir(), newClientWire(t, trouble{})
	want := "bytes=0-"
	if p.resumes {
		half := len(saved) / 2
		want = fmt.Sprintf("bytes=%d-", half)
		if err := os.WriteFile(filepath.Join(dir, id+".part"), saved[:half], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code := p.run(t, dir, w, id)
	if code != 0 {
		t.Fatalf("status %d\n%s", code, stderr)
	}
	if got := p.result(t, dir, stdout); !bytes.Equal(got, saved) {
		t.Errorf("it finds %d bytes, which aren't the %d of the first run", len(got), len(saved))
	}
	files := w.files()
	if len(w.having(http.MethodPost, "")) > 0 || len(files) != 1 {
		t.Fatalf("%d creates and %d requests for the file, want none and one", len(w.having(http.MethodPost, "")), len(files))
	}
	if got := files[0].request.Header.Get("Range"); got != want {
		t.Errorf("it asks for %q, want %q", got, want)
	}
}
