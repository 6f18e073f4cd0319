package runner_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	neturl "net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// pgProxy stands between a worker and Postgres. It divides what passes into
// steps, over all connections: each connect, each statement and each
// disconnect before the server has it, and the first row of each COPY before
// the worker has it. One step is taken at a time.
//
// It knows of PostgreSQL's protocol (manual, "Message Formats") what it needs
// for that. The connections aren't encrypted.
type pgProxy struct {
	url    string // of the database, by way of the proxy
	target string // the server's host and port
	before func(step int, what string)
	// hurry makes a reader that can't lock the table give up after a fifth
	// of a second instead of ten.
	hurry bool
	// slowCount makes the count of rows take longer than any export.
	slowCount atomic.Bool

	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex // held during a step
	steps []string

	connsMu sync.Mutex
	conns   []net.Conn
}

// newPGProxy returns a proxy for the database at url. It calls before ahead of
// each step; all that passes waits until that returns.
func newPGProxy(t *testing.T, url string, hurry bool, before func(step int, what string)) *pgProxy {
	t.Helper()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	p := &pgProxy{target: u.Host, before: before, hurry: hurry}
	if p.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = p.listener.Addr().String()
	p.url = u.String()
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// close ends all connections and waits until nothing of the proxy runs.
func (p *pgProxy) close() {
	_ = p.listener.Close()
	p.connsMu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.connsMu.Unlock()
	p.running.Wait()
}

func (p *pgProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.connsMu.Lock()
		p.conns = append(p.conns, client, server)
		p.connsMu.Unlock()
		p.running.Go(func() {
			defer server.Close()
			p.pass(server, client, p.questions)
		})
		p.running.Go(func() {
			defer client.Close()
			p.pass(client, server, p.answers)
		})
	}
}

// pass copies one direction of a connection until it ends.
func (p *pgProxy) pass(to io.Writer, from io.Reader, messages func(*bufio.Writer, *bufio.Reader) error) {
	w := bufio.NewWriterSize(to, 64<<10)
	_ = messages(w, bufio.NewReaderSize(from, 64<<10)) // the end of either side
	_ = w.Flush()
}

// step takes one step. Whatever w holds goes ahead of it.
func (p *pgProxy) step(w *bufio.Writer, what string) error {
	if err := w.Flush(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = append(p.steps, what)
	p.before(len(p.steps)-1, what)
	return nil
}

// taken returns the steps so far.
func (p *pgProxy) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.steps)
}

// cancelRequest is the code of a connection that only asks to cancel.
const cancelRequest = 80877102

// questions passes what the worker says.
func (p *pgProxy) questions(w *bufio.Writer, r *bufio.Reader) error {
	start, err := r.Peek(8)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(start[4:]) != cancelRequest {
		if err := p.step(w, "connect"); err != nil {
			return err
		}
	}
	if _, err := io.CopyN(w, r, int64(binary.BigEndian.Uint32(start))); err != nil {
		return err
	}
	for {
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		kind, body, err := message(r)
		if err != nil {
			return err
		}
		if what := statement(kind, body); what != "" {
			if err := p.step(w, what); err != nil {
				return err
			}
		}
		if p.hurry {
			body = bytes.Replace(body, []byte("lock_timeout = '10s'"), []byte("lock_timeout = '200ms'"), 1)
		}
		if p.slowCount.Load() {
			body = bytes.Replace(body, []byte("SELECT count(*)"), []byte("SELECT count(pg_sleep(60))"), 1)
		}
		if err := writeMessage(w, kind, body); err != nil {
			return err
		}
	}
}

// answers passes what the server says.
func (p *pgProxy) answers(w *bufio.Writer, r *bufio.Reader) error {
	begins := false // a COPY, whose first row is still to come
	for {
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		head, err := r.Peek(5)
		if err != nil {
			return err
		}
		switch {
		case head[0] == 'H': // CopyOutResponse
			begins = true
		case head[0] == 'd' && begins: // CopyData
			begins = false
			if err := p.step(w, "first row"); err != nil {
				return err
			}
		}
		if _, err := io.CopyN(w, r, 1+int64(binary.BigEndian.Uint32(head[1:]))); err != nil {
			return err
		}
	}
}

// message reads one message but the first of a connection, which has no kind.
func message(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 1<<24 {
		return 0, nil, errors.New("not a message of Postgres's protocol")
	}
	body = make([]byte, n-4)
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}

func writeMessage(w io.Writer, kind byte, body []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	_, err := w.Write(append(head, body...))
	return err
}

// statement names the step that a message is; it is empty for one that goes
// with the message before it.
func statement(kind byte, body []byte) string {
	switch kind {
	case 'Q': // Query
		return cString(body)
	case 'P': // Parse: the statement's name, then its text
		return cString(body[bytes.IndexByte(body, 0)+1:])
	case 'X': // Terminate
		return "disconnect"
	default:
		return ""
	}
}

// cString is the text that ends with a zero byte, on one line.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.Join(strings.Fields(string(b)), " ")
}

// list prints steps with their numbers.
func list(steps []string) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%3d %.100s\n", i, s)
	}
	return b.String()
}
