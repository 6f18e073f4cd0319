package source

import (
	"context"
	"fmt"

	"csvexport/internal/export"
)

// besides is how many connections an export may need beside those that copy:
// one holds the snapshot, one counts the rows.
const besides = 2

// Budget is what the service's exports may need of the server's connections.
type Budget struct {
	Concurrency int // exports at the same time
	Connections int // of one export, to copy over
}

// Needed is the most connections that all exports hold at the same time.
func (b Budget) Needed() int { return b.Concurrency * (b.Connections + besides) }

// Room is how many connections the server lets the service's role have at the
// same time, if nobody else has any.
type Room struct {
	Connections int
	Bound       string // what bounds it, for people
	Raise       string // what to raise, for people
}

// roomQuery asks for the bounds as a backend applies them when it starts
// (PostgreSQL's postinit.c and miscinit.c): a superuser meets neither the
// role's, nor the database's, nor what is reserved. Postgres 16 brought
// reserved_connections, with a role that may use them.
const roomQuery = `
SELECT r.rolsuper, current_setting('max_connections')::int,
       CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int END,
       CASE WHEN r.rolsuper OR EXISTS (
               SELECT FROM pg_catalog.pg_roles u WHERE u.rolname = 'pg_use_reserved_connections' AND pg_has_role(r.oid, u.oid, 'USAGE'))
            THEN 0 ELSE coalesce(current_setting('reserved_connections', true), '0')::int END,
       r.rolconnlimit, d.datconnlimit
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = session_user AND d.datname = current_database()`

// Room asks the server, over one connection.
func (s *Source) Room(ctx context.Context) (Room, error) {
	conn, err := s.connect(ctx, "csvexport room")
	if err != nil {
		return Room{}, err
	}
	defer closeConn(ctx, conn)
	var super bool
	var most, superusers, reserved, role, database int
	if err := conn.QueryRow(ctx, roomQuery).Scan(&super, &most, &superusers, &reserved, &role, &database); err != nil {
		return Room{}, translate(ctx, "ask for the limits of connections", err)
	}
	room := Room{Connections: most - superusers - reserved, Bound: "the server's max_connections, less those reserved", Raise: "max_connections"}
	if super {
		return room, nil
	}
	// -1: no limit.
	if database >= 0 && database < room.Connections {
		room = Room{Connections: database, Bound: "the database's connection limit", Raise: "the database's CONNECTION LIMIT"}
	}
	if role >= 0 && role < room.Connections {
		room = Room{Connections: role, Bound: "the role's connection limit", Raise: "the role's CONNECTION LIMIT"}
	}
	return room, nil
}

// Check returns nil if the budget fits into the server's room, else an error
// whose message says what to change. The error of a server that can't be asked
// has the code SourceUnavailable or SourceRejected.
func (s *Source) Check(ctx context.Context, b Budget) error {
	room, err := s.Room(ctx)
	if err != nil || b.Needed() <= room.Connections {
		return err
	}
	return &export.Error{
		Code: export.Unavailable,
		Message: fmt.Sprintf("%d exports at the same time may need %d connections to Postgres (%d each), but it allows the service %d (%s). "+
			"Lower MaximumConcurrency or ExportConnections, or raise %s.",
			b.Concurrency, b.Needed(), b.Connections+besides, room.Connections, room.Bound, room.Raise),
	}
}
