package source

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"csvexport/internal/export"
)

const (
	// sessionLimit bounds a statement, and an idle transaction, of a function
	// that vanished without a word: a little over a function's 15 minutes.
	sessionLimit = 16 * time.Minute
	// oldestServer is the first major version of PostgreSQL that the service's
	// queries are made and tested for.
	oldestServer = 14
)

// settings are those under which all rows are read, in each transaction: a
// session's own would not be there behind a connection pooler, which refuses
// most of them at the start of a session (PgBouncer Usage, "ignore_startup_parameters"),
// or is told to swallow them, and may give each transaction another session.
var settings = []string{
	// What decides how a value looks as text is the same for every caller.
	"client_encoding = 'UTF8'",
	"TimeZone = 'UTC'",
	"DateStyle = 'ISO, MDY'",
	"IntervalStyle = 'postgres'",
	"bytea_output = 'hex'",
	"extra_float_digits = 1",
	"search_path = pg_catalog",
	// A backslash in a literal is only a backslash; see literal.
	"standard_conforming_strings = on",
	// A scan starts at the table's beginning, whoever else scans it.
	"synchronize_seqscans = off",
	// The server notices a vanished function by itself.
	"statement_timeout = " + strconv.FormatInt(sessionLimit.Milliseconds(), 10),
	"idle_in_transaction_session_timeout = " + strconv.FormatInt(sessionLimit.Milliseconds(), 10),
	"tcp_keepalives_idle = 10",
	"tcp_keepalives_interval = 5",
	"tcp_keepalives_count = 3",
}

// beginTransaction ends with a transaction under the settings. Only SET may be
// between BEGIN and what comes next: it neither takes a snapshot nor keeps one
// from being imported.
var beginTransaction = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL " + strings.Join(settings, "; SET LOCAL ")

// begin begins a transaction under the settings, in one round trip.
func begin(ctx context.Context, conn *pgx.Conn) error {
	return conn.PgConn().Exec(ctx, beginTransaction).Close()
}

// renew ends the transaction and begins another one, which sees the present.
func renew(ctx context.Context, conn *pgx.Conn) error {
	return conn.PgConn().Exec(ctx, "COMMIT; "+beginTransaction).Close()
}

// supported refuses a server that is too old, or isn't PostgreSQL's own. Its
// version is among what a server says at the start of a session; it comes as
// "17.10 (Debian 17.10-1)" or "18beta1".
func supported(conn *pgx.Conn) error {
	version := conn.PgConn().ParameterStatus("server_version")
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(version)
	}
	if major, err := strconv.Atoi(version[:digits]); err == nil && major >= oldestServer {
		return nil
	}
	version, _, _ = strings.Cut(version, " ")
	return export.Errorf(export.SourceRejected, "The database is PostgreSQL %s; the service needs %d or later.", version, oldestServer)
}

// refusedByPooler reports whether err is a pooler's answer that the same
// request will get again. PgBouncer has one code for all that it says itself,
// 08P01; the texts are its own.
func refusedByPooler(err *pgconn.PgError) bool {
	return says(err, "08P01", "unsupported startup parameter", "pooling mode") || says(err, "0A000", "RDS Proxy")
}

// fullPooler reports whether err is a pooler's answer that it has no
// connection free.
func fullPooler(err *pgconn.PgError) bool {
	return says(err, "08P01", "query_wait_timeout", "no more connections allowed")
}

func says(err *pgconn.PgError, code string, texts ...string) bool {
	return err.Code == code && slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(err.Message, text) })
}
