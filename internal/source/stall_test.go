package source_test

import (
	"context"
	"io"
	"net"
	neturl "net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// stallAfter is short for tests, and still longer than a busy machine's pauses.
const stallAfter = 3 * time.Second

// blackHole passes bytes between clients and the server until Swallow; from
// then on it takes what comes and passes nothing on.
type blackHole struct {
	url       string
	swallowed atomic.Bool
	letsIn    bool // connections that come after it was told to swallow
}

func newBlackHole(t *testing.T, url string) *blackHole {
	t.Helper()
	h := &blackHole{}
	h.url = relayed(t, url, func(client, server net.Conn) {
		var running sync.WaitGroup
		end := sync.OnceFunc(func() { client.Close(); server.Close() })
		t.Cleanup(end) // what was swallowed ends by nobody
		late := h.swallowed.Load()
		running.Go(func() { h.pass(server, client, late); end() })
		running.Go(func() { h.pass(client, server, late); end() })
		running.Wait()
	})
	return h
}

// relayed serves the connections to the server at url and returns the URL by
// way of that.
func relayed(t *testing.T, url string, serve func(client, server net.Conn)) string {
	t.Helper()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	u.Host = listener.Addr().String()
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { listener.Close() })
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			running.Go(func() {
				defer client.Close()
				defer upstream.Close()
				serve(client, upstream)
			})
		}
	})
	return u.String()
}

func (h *blackHole) pass(to io.Writer, from io.Reader, late bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if h.swallowed.Load() && (!late || !h.letsIn) {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A network that swallows everything ends the copy, with an error that says so;
// also when it only swallows what was under way, and the server can be asked.
func TestReader_Copy_blackHole(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 200_000)
	for name, letsIn := range map[string]bool{"everything": false, "this connection": true} {
		t.Run(name, func(t *testing.T) {
			hole := newBlackHole(t, url)
			hole.letsIn = letsIn
			s := open(t, hole.url)
			s.SetStallAfter(stallAfter)
			snap, err := s.Snapshot(t.Context(), uuid.NewString(), 1, users(t))
			if err != nil {
				t.Fatal(err)
			}
			defer snap.Close(context.Background())
			r := reader(t, snap)
			var began time.Time
			_, err = r.Copy(t.Context(), usersPlan(t), source.Range{}, writerFunc(func(p []byte) (int, error) {
				if began.IsZero() {
					hole.swallowed.Store(true)
					began = time.Now()
				}
				return len(p), nil
			}))
			if export.CodeOf(err) != export.SourceUnavailable || export.MessageOf(err) != "The database stopped answering." {
				t.Errorf("error %v", err)
			}
			if sent := err != nil && strings.Contains(err.Error(), "has sent what didn't arrive"); sent != letsIn {
				t.Errorf("error %v: the server was asked: %v, want %v", err, sent, letsIn)
			}
			if took := time.Since(began); took < stallAfter || took > stallAfter+30*time.Second {
				t.Errorf("noticed after %v", took)
			}
		})
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A query that works for long before it has anything to say is left alone.
func TestReader_Copy_silent(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	const silence = 3 * stallAfter
	servertest.PSQL(t, url, "ALTER TABLE users RENAME TO slow; CREATE VIEW users AS SELECT slow.* FROM slow, "+
		"(SELECT pg_sleep(9) OFFSET 0) AS pause")
	s := open(t, url)
	s.SetStallAfter(stallAfter)
	r := reader(t, snapshot(t, s, uuid.NewString(), 1))
	began := time.Now()
	n, err := r.Copy(t.Context(), usersPlan(t), source.Range{}, io.Discard)
	if err != nil || n != 10 {
		t.Errorf("%d rows, error %v", n, err)
	}
	if took := time.Since(began); took < silence {
		t.Errorf("took %v: the query was to be silent for %v", took, silence)
	}
}
