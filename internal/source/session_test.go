package source_test

import (
	"bytes"
	"io"
	"net"
	neturl "net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// The role's own limit of a statement's time doesn't hold for an export, from
// its first query to its last.
func TestReader_ownTimeLimits(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 100)
	want := servertest.PSQL(t, url, copyUsers)
	servertest.PSQL(t, url, `ALTER TABLE users RENAME TO people;
		CREATE VIEW users AS SELECT people.* FROM people, pg_sleep(0.5);
		DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''250ms''', current_database());
		EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''250ms''', current_database()); END $$`)
	snap := snapshot(t, open(t, url), uuid.NewString(), 1)
	if got, _ := copyAll(t, reader(t, snap)); got != want {
		t.Error("the rows differ from psql's")
	}
	if n, err := reader(t, snap).Count(t.Context(), users(t)); err != nil || n != 100 { // the snapshot's holder was idle for half a second
		t.Errorf("counted %d rows, error %v", n, err)
	}
}

// A server that is too old is refused before anything is asked of it.
func TestSource_oldServer(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	for version, refused := range map[string]bool{"13": true, "09": true, "14": false} {
		s := open(t, between(t, url, greeting{version: version}))
		snap, err := s.Snapshot(t.Context(), uuid.NewString(), 1, users(t))
		if err == nil {
			snap.Close(t.Context())
		}
		want := "The database is PostgreSQL " + version + "."
		if got := export.MessageOf(err); refused && (export.CodeOf(err) != export.SourceRejected || !strings.HasPrefix(got, want) || !strings.Contains(got, "14 or later")) {
			t.Errorf("version %s: error %v has code %s, want source_rejected", version, err, export.CodeOf(err))
		}
		if !refused && err != nil {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

// Poolers refuse, or swallow, what they don't know at the start of a session:
// PgBouncer knows these, and what it makes of all else differs by version.
func TestSource_startupParameters(t *testing.T) {
	asked := make(chan []string, 10)
	s := open(t, between(t, servertest.Database(t), greeting{asked: asked}))
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := <-asked
	slices.Sort(names)
	if want := []string{"application_name", "client_encoding", "database", "user"}; !slices.Equal(names, want) {
		t.Errorf("a session starts with the parameters %q, want %q", names, want)
	}
}

// greeting is what a proxy does to the start of a session.
type greeting struct {
	version string          // major version of the server, of two characters; empty: its own
	asked   chan<- []string // gets the names of the client's parameters; nil for nobody
}

// between returns the URL of a proxy before the server.
func between(t *testing.T, url string, g greeting) string {
	t.Helper()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		work.Wait()
	})
	work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() { g.relay(t, client, server) })
		}
	})
	u.Host = listener.Addr().String()
	return u.String()
}

// relay carries one connection. Either side's greeting comes in one piece.
func (g greeting) relay(t *testing.T, client net.Conn, server string) {
	defer client.Close()
	backend, err := net.Dial("tcp", server)
	if err != nil {
		t.Error(err)
		return
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	defer backend.Close()
	asking.Go(func() {
		defer backend.Close()
		piece := make([]byte, 1<<16)
		n, err := client.Read(piece)
		if err != nil {
			return
		}
		if g.asked != nil {
			g.asked <- parameters(piece[:n])
		}
		if _, err := backend.Write(piece[:n]); err == nil {
			_, _ = io.Copy(backend, client) // ends when either side does
		}
	})
	const name = "server_version\x00"
	for piece := make([]byte, 1<<16); ; {
		n, err := backend.Read(piece)
		if err != nil {
			client.Close()
			return
		}
		if at := bytes.Index(piece[:n], []byte(name)); at >= 0 {
			copy(piece[at+len(name):], g.version)
		}
		if _, err := client.Write(piece[:n]); err != nil {
			return
		}
	}
}

// parameters are the names in a StartupMessage: behind its length and the
// protocol's version, names and values by turns, each ended by a zero.
func parameters(startup []byte) (names []string) {
	for i, text := range strings.Split(strings.TrimRight(string(startup[8:]), "\x00"), "\x00") {
		if i%2 == 0 {
			names = append(names, text)
		}
	}
	return names
}
