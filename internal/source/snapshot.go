package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// lockTimeout is how long to wait for a table lock: longer than a short
// ALTER, shorter than a lease.
const lockTimeout = "10s"

// raiseWorkMem lets a range that the server has to sort be sorted in memory,
// where the server's own setting is lower.
const raiseWorkMem = `SELECT set_config('work_mem', '32MB', true) WHERE pg_size_bytes(current_setting('work_mem')) < 32 * 1024 * 1024`

// Snapshot is one state of the database. It lives as long as the connection
// that holds it; readers import it.
//
// The holder also holds an ACCESS SHARE lock on the table from before the
// snapshot until the end: without it a TRUNCATE or a rewrite of the table in
// between would show the snapshot's readers an empty table.
type Snapshot struct {
	source   *Source
	holder   *pgx.Conn
	name     string // of the connections
	relation dataset.Relation
	kind     string // pg_class.relkind
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
	backend   uint32 // the connection's own
}

const identityColumns = `pg_backend_pid(), pg_current_snapshot()::text, ` +
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
	kind := s.holder.QueryRow(ctx, "SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1::text)", relationSQL(s.relation))
	if err := kind.Scan(&s.kind); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	// The lock comes first: the snapshot is taken by the first query, and must not be older than the lock.
	if err := begin(ctx, s.holder); err != nil {
		return err
	}
	if err := s.lock(ctx, s.holder); err != nil {
		return err
	}
	row := s.holder.QueryRow(ctx, "SELECT pg_export_snapshot(), statement_timestamp(), "+identityColumns)
	if err := row.Scan(&s.identity.id, &s.asOf, &s.identity.backend, &s.identity.content, &s.identity.server, &s.identity.startedAt); err != nil {
		return err
	}
	setBackend(s.holder, s.identity.backend)
	return s.lockMaterializedView(ctx, s.holder)
}

// lock keeps the table's definition and its storage as they are until the
// transaction ends. Postgres locks tables and views (and what they are made
// of), but neither materialized views nor foreign tables.
func (s *Snapshot) lock(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "SET LOCAL lock_timeout = '"+lockTimeout+"'"); err != nil {
		return err
	}
	switch s.kind {
	case foreignTable, materializedView:
		return nil
	default:
		_, err := conn.Exec(ctx, "LOCK TABLE "+relationSQL(s.relation)+" IN ACCESS SHARE MODE")
		return err
	}
}

// lockMaterializedView locks it by a query, which comes after the snapshot.
// So it checks that no refresh came in between: the storage that the snapshot
// knows (pg_class) must be the present one (pg_relation_filenode reads the
// latest catalogs).
func (s *Snapshot) lockMaterializedView(ctx context.Context, conn *pgx.Conn) error {
	if s.kind != materializedView {
		return nil
	}
	if _, err := conn.Exec(ctx, "SELECT FROM "+relationSQL(s.relation)+" LIMIT 0"); err != nil {
		return err
	}
	same := false
	row := conn.QueryRow(ctx, "SELECT relfilenode = pg_relation_filenode(oid) FROM pg_class WHERE oid = to_regclass($1::text)", relationSQL(s.relation))
	if err := row.Scan(&same); err != nil {
		return err
	}
	if !same {
		return export.Errorf(export.SourceUnavailable, "The materialized view was refreshed while the export began.")
	}
	return nil
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
	if err := begin(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SET TRANSACTION SNAPSHOT "+literal(s.identity.id)); err != nil {
		return err
	}
	if err := s.lock(ctx, conn); err != nil {
		return err
	}
	if err := s.lockMaterializedView(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, raiseWorkMem); err != nil {
		return err
	}
	seen := identity{id: s.identity.id}
	row := conn.QueryRow(ctx, "SELECT "+identityColumns)
	if err := row.Scan(&seen.backend, &seen.content, &seen.server, &seen.startedAt); err != nil {
		return err
	}
	setBackend(conn, seen.backend)
	if seen.content != s.identity.content || seen.server != s.identity.server || !seen.startedAt.Equal(s.identity.startedAt) {
		return &export.Error{
			Code:    export.SourceUnavailable,
			Message: "The database's connections lead to different servers.",
			Err:     fmt.Errorf("imported snapshot %+v is not the exported %+v", seen, s.identity),
		}
	}
	return nil
}
