// Package source reads rows out of Postgres as CSV. It is the only home of
// SQL: others hand it plain values and get bytes.
//
// A Snapshot is one state of the database that any number of connections read
// from, so that rows copied by several of them belong together.
package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"csvexport/internal/export"
)

const (
	// readBuffer is how many bytes are read from a connection at once, where
	// pgx alone would read 8 KiB: the server sends rows while others are
	// compressed.
	readBuffer = 128 << 10

	connectTimeout = 10 * time.Second
	// closeTimeout bounds how long ending a connection may take, with its
	// cancel request when a query runs.
	closeTimeout = 2 * time.Second
)

// Source is a Postgres server that rows are read from.
type Source struct {
	address    Address
	tls        TLS
	stallAfter time.Duration // the constant, but in a test
}

// New returns the source at a connection URL (or keyword/value string, as
// libpq takes it) that never changes. It doesn't connect.
func New(url string) (*Source, error) {
	s := NewAt(func(context.Context, bool) (string, error) { return url, nil }, TLS{})
	err := s.Ready(context.Background())
	return s, err
}

// NewAt returns the source at an address that may change. It doesn't connect.
func NewAt(address Address, tls TLS) *Source {
	return &Source{address: address, tls: tls, stallAfter: stallAfter}
}

// Ready asks for the address and checks it. It doesn't connect.
func (s *Source) Ready(ctx context.Context) error {
	url, err := s.address(ctx, false)
	if err != nil {
		return err
	}
	_, err = s.tls.config(url)
	return err
}

// session names the connections of an export's attempt for the server's
// administrator, and for a later attempt that ends them.
func session(id string, attempt int) string {
	return sessionPrefix(id) + strconv.Itoa(attempt)
}

func sessionPrefix(id string) string { return "csvexport " + id + "/" }

// connect opens a connection. When the server refuses the login, the address
// is asked for anew: the password may have been changed.
func (s *Source) connect(ctx context.Context, name string) (*pgx.Conn, error) {
	url, err := s.address(ctx, false)
	if err != nil {
		return nil, err
	}
	conn, err := s.connectTo(ctx, url, name)
	if loginRefused(err) {
		again, addressErr := s.address(ctx, true)
		if addressErr == nil && again != url {
			conn, err = s.connectTo(ctx, again, name)
		}
	}
	if err != nil {
		return nil, translate(ctx, "connect to the database", err)
	}
	if err := supported(conn); err != nil {
		closeConn(ctx, conn)
		return nil, translate(ctx, "connect to the database", err)
	}
	return conn, nil
}

func (s *Source) connectTo(ctx context.Context, url, name string) (*pgx.Conn, error) {
	config, err := s.tls.config(url)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = connectTimeout
	config.DialFunc = s.dial
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readBuffer), w)
	}
	// All that poolers take; see settings.
	config.RuntimeParams["application_name"] = name
	config.RuntimeParams["client_encoding"] = "UTF8"
	// Statements run once; preparing them would cost a round trip each.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return pgx.ConnectConfig(ctx, config)
}

// loginRefused reports whether the server knows no such role or password
// (PostgreSQL manual, appendix A, class 28).
func loginRefused(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code == "28P01" || pgErr.Code == "28000")
}

// Ping asks whether the database accepts a connection and answers on it.
func (s *Source) Ping(ctx context.Context) error {
	conn, err := s.connect(ctx, "csvexport health")
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	_, err = conn.Exec(ctx, "SELECT 1")
	return translate(ctx, "ping", err)
}

// closeConn ends the connection, and the server's query with it: where one
// runs, pgx has sent a cancel request before it closed the socket.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx) // the socket is closed in any case
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

// EndEarlier ends the server's backends of the export's attempts other than
// attempt: those of workers that died, or that don't know yet that they lost
// their claim.
func (s *Source) EndEarlier(ctx context.Context, id string, attempt int) error {
	conn, err := s.connect(ctx, session(id, attempt))
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE usename = current_user AND starts_with(application_name, $1) AND application_name <> $2`,
		sessionPrefix(id), session(id, attempt))
	return translate(ctx, "end the backends of earlier attempts", err)
}

// Refused reports whether the server had no connection, or no lock in time,
// for one more reader: an export can do with fewer.
func Refused(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code == "55P03" || pgErr.Code == "53300" || fullPooler(pgErr))
}

// translate names an error of Postgres or of the connection in the domain's
// words. A cancelled context's cause wins over what the cancellation led to.
func translate(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	if _, ok := errors.AsType[*export.Error](err); ok {
		return err
	}
	code, message := classify(err)
	return &export.Error{Code: code, Message: message, Err: err}
}

func classify(err error) (export.Code, string) {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(pgErr.Code) != 5 {
		if isConnectError(err) {
			return export.SourceUnreachable, "The database can't be reached."
		}
		return export.SourceUnavailable, "The connection to the database was lost."
	}
	switch {
	case refusedByPooler(pgErr):
		return export.SourceRejected, "The connection pooler before the database refuses the service's connections: it must pool by session or by transaction, and take every option of the database's URL."
	case fullPooler(pgErr):
		return export.SourceUnreachable, "The database is too busy."
	}
	// The codes: PostgreSQL manual, appendix A.
	switch pgErr.Code {
	case "42P01", "3F000":
		return export.SourceRejected, "The dataset's table doesn't exist in the database."
	case "42703":
		return export.SourceRejected, "A column of the dataset doesn't exist in the database."
	case "42501":
		return export.SourceRejected, "The service may not read the dataset's table."
	case "55P03": // lock_not_available
		return export.SourceUnavailable, "The database is too busy."
	case "53300": // too_many_connections
		return export.SourceUnreachable, "The database is too busy."
	case "42704": // the snapshot's exporter has ended
		return export.SourceUnavailable, "The database ended the export's snapshot."
	}
	switch pgErr.Code[:2] {
	case "22", "42", "0A":
		return export.SourceRejected, "The database can't run the export's query."
	}
	if isConnectError(err) { // it starts or stops, or doesn't know the role, whose password may be about to change
		return export.SourceUnreachable, "The database doesn't let the service in."
	}
	// Connection, resources, serialization, operator's intervention, and what we don't know.
	return export.SourceUnavailable, "The database ended the export's query."
}
