package source

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// lockTimeout is how long to wait for a table lock: longer than a short
// ALTER, shorter than a lease.
const lockTimeout = "10s"

// Snapshot is one state of the database. It lives as long as the connection
// that holds it; readers import it.
//
// The holder also holds an ACCESS SHARE lock on the table from before the
// snapshot until the end: without it a TRUNCATE or a rewrite of the table in
// between would show the snapshot's readers an empty table.
type Snapshot struct {
	source   *Source
	holder   *pgx.Conn
	name     string
	relation dataset.Relation
	identity identity
	asOf     time.Time
}

// identity tells a snapshot from one of the same id on another server, or on
// the same one after a restart. The id alone doesn't: it is a counter.
type identity struct {
	id        string
	content   string // pg_current_snapshot()
	server    string
	startedAt time.Time
}

const identityColumns = `pg_current_snapshot()::text, ` +
	`coalesce(host(inet_server_addr()), '') || ':' || coalesce(inet_server_port()::text, ''), pg_postmaster_start_time()`

// Snapshot takes a snapshot for an export's attempt and locks the selection's
// table against changes of its definition. The caller must Close it.
//
// The errors are SourceRejected when the table can't be read at all and
// SourceUnavailable for what may pass.
func (s *Source) Snapshot(ctx context.Context, exportID string, attempt int, sel dataset.Selection) (*Snapshot, error) {
	snap := &Snapshot{source: s, name: session(exportID, attempt), relation: sel.Relation}
	var err error
	if snap.holder, err = s.connect(ctx, snap.name); err != nil {
		return nil, err
	}
	if err := snap.take(ctx); err != nil {
		closeConn(ctx, snap.holder)
		return nil, translate(ctx, "take a snapshot", err)
	}
	return snap, nil
}

func (s *Snapshot) take(ctx context.Context) error {
	// The lock comes first: the snapshot is taken by the first query, and must not be older than the lock.
	for _, sql := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		"SET LOCAL lock_timeout = '" + lockTimeout + "'",
		"LOCK TABLE " + relationSQL(s.relation) + " IN ACCESS SHARE MODE",
	} {
		if _, err := s.holder.Exec(ctx, sql); err != nil {
			return err
		}
	}
	row := s.holder.QueryRow(ctx, "SELECT pg_export_snapshot(), statement_timestamp(), "+identityColumns)
	return row.Scan(&s.identity.id, &s.asOf, &s.identity.content, &s.identity.server, &s.identity.startedAt)
}

// AsOf is when the snapshot was taken, by the server's clock.
func (s *Snapshot) AsOf() time.Time { return s.asOf.UTC() }

// Close ends the snapshot and gives the table free. Readers that imported it
// keep theirs until they are closed.
func (s *Snapshot) Close(ctx context.Context) { closeConn(ctx, s.holder) }

// Reader opens a connection that sees exactly what the snapshot saw. The
// caller must Close it.
func (s *Snapshot) Reader(ctx context.Context) (*Reader, error) {
	conn, err := s.source.connect(ctx, s.name)
	if err != nil {
		return nil, err
	}
	if err := s.enter(ctx, conn); err != nil {
		closeConn(ctx, conn)
		return nil, translate(ctx, "read from the snapshot", err)
	}
	return &Reader{conn: conn}, nil
}

func (s *Snapshot) enter(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		"SET TRANSACTION SNAPSHOT " + literal(s.identity.id),
		"SET LOCAL lock_timeout = '" + lockTimeout + "'",
		"LOCK TABLE " + relationSQL(s.relation) + " IN ACCESS SHARE MODE",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	seen := identity{id: s.identity.id}
	row := conn.QueryRow(ctx, "SELECT "+identityColumns)
	if err := row.Scan(&seen.content, &seen.server, &seen.startedAt); err != nil {
		return err
	}
	if seen.content != s.identity.content || seen.server != s.identity.server || !seen.startedAt.Equal(s.identity.startedAt) {
		return &export.Error{
			Code:    export.SourceUnavailable,
			Message: "The database's connections lead to different servers.",
			Err:     fmt.Errorf("imported snapshot %+v is not the exported %+v", seen, s.identity),
		}
	}
	return nil
}
