package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"csvexport/internal/export"
)

const (
	// stallAfter is for how long a connection may wait for the server before
	// somebody asks, over another one, whether the server still works for it. A
	// network that swallows everything gives no error at all, and a query that
	// reads a large table for few rows is silent for as long.
	stallAfter = 30 * time.Second
	// probeTimeout bounds the question.
	probeTimeout = connectTimeout
)

// wire is a connection to the server that knows for how long it has waited.
type wire struct {
	net.Conn
	open    context.Context //nolint:containedctx // it ends with Close
	end     context.CancelFunc
	waiting atomic.Pointer[time.Time] // since when a Read waits; nil when none does
	backend atomic.Uint32             // pg_backend_pid(); 0 until known
	lost    atomic.Pointer[export.Error]
}

// Read fails with the reason once the server was found not to answer.
func (w *wire) Read(p []byte) (int, error) {
	now := time.Now()
	w.waiting.Store(&now)
	n, err := w.Conn.Read(p)
	w.waiting.Store(nil)
	if lost := w.lost.Load(); err != nil && lost != nil {
		err = lost
	}
	return n, err
}

// Close ends the watch, too.
func (w *wire) Close() error {
	w.end()
	return w.Conn.Close()
}

// setBackend tells the watch of a connection of ours which backend it has, by
// pg_backend_pid(): what the connection itself says may be a pooler's.
func setBackend(conn *pgx.Conn, pid uint32) {
	under := conn.PgConn().Conn()
	if encrypted, ok := under.(interface{ NetConn() net.Conn }); ok {
		under = encrypted.NetConn()
	}
	under.(*wire).backend.Store(pid)
}

// dial connects to a wire that is watched until it is closed.
func (s *Source) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn}
	w.open, w.end = context.WithCancel(context.Background())
	go s.watch(w)
	return w, nil
}

// watch cuts the wire when the server doesn't work for it any more.
func (s *Source) watch(w *wire) {
	tick := time.NewTicker(s.stallAfter / 6)
	defer tick.Stop()
	var asked time.Time
	for {
		select {
		case <-w.open.Done():
			return
		case <-tick.C:
		}
		since := w.waiting.Load()
		if since == nil || time.Since(*since) < s.stallAfter || time.Since(asked) < s.stallAfter {
			continue
		}
		if err := s.probe(w.open, w.backend.Load()); err != nil && w.open.Err() == nil {
			w.lost.Store(&export.Error{Code: export.SourceUnavailable, Message: "The database stopped answering.", Err: err})
			_ = w.Close()
			return
		}
		asked = time.Now()
	}
}

// probe asks the server, over another connection, what the backend does that
// somebody has waited for. It returns an error if nothing more will come from
// it: the server can't be reached, doesn't know the backend, or has sent what
// never arrived. When the server has no connection to spare for the question,
// or doesn't tell, the wait goes on: statement_timeout bounds it.
func (s *Source) probe(ctx context.Context, backend uint32) error {
	if backend == 0 {
		return errors.New("no answer to the first statements of a connection")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := s.connect(ctx, "csvexport probe")
	if Refused(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	var state, event string
	// PostgreSQL manual, "pg_stat_activity": state is NULL for the backends of other roles; ClientWrite is waiting to write to the client.
	row := conn.QueryRow(ctx, "SELECT coalesce(state, ''), coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = $1", int64(backend))
	switch err := row.Scan(&state, &event); {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("backend %d is gone", backend)
	case err != nil: // a pooler may have none of the server's connections free
		return nil
	case state == "active" && event == "ClientWrite", state == "idle in transaction", state == "idle in transaction (aborted)", state == "idle":
		return fmt.Errorf("backend %d (%s, %s) has sent what didn't arrive", backend, state, event)
	default:
		return nil
	}
}

// isConnectError reports whether err is of a connection that didn't come about.
func isConnectError(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}
