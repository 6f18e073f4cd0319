package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// login makes a role of the test's own, with a quoted name, and returns that and
// the database's URL for the role.
func login(t *testing.T, url, options string) (quoted, roleURL string) {
	t.Helper()
	role := "login " + uuid.NewString()
	quoted = `"` + role + `"`
	servertest.PSQL(t, url, "CREATE ROLE "+quoted+" LOGIN PASSWORD 'x' "+options)
	t.Cleanup(func() { servertest.PSQL(t, servertest.Server(t), "DROP ROLE "+quoted) })
	return quoted, as(t, url, role)
}

func TestSource_Room(t *testing.T) {
	url := servertest.Database(t)
	var most, superusers, reserved int
	settings := servertest.PSQL(t, url, `SELECT current_setting('max_connections'), current_setting('superuser_reserved_connections'),
		coalesce(current_setting('reserved_connections', true), '0')`)
	if _, err := fmt.Sscanf(strings.ReplaceAll(settings, "|", " "), "%d %d %d", &most, &superusers, &reserved); err != nil {
		t.Fatal(err)
	}
	ordinary := most - superusers - reserved
	quoted, roleURL := login(t, url, "")
	database := func(limit int) string {
		return fmt.Sprintf(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I CONNECTION LIMIT %d', current_database()); END $$`, limit)
	}
	role := func(limit int) string { return fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", quoted, limit) }
	// Each line goes on from the one before.
	for _, test := range []struct {
		name, prepare, url string
		connections        int
		bound              string
	}{
		{"superuser", "SELECT 1", url, most, "max_connections"},
		{"no limits", "SELECT 1", roleURL, ordinary, "max_connections"},
		{"of the database", database(20), roleURL, 20, "database's"},
		{"of database and role", role(9), roleURL, 9, "role's"},
		{"the role's is higher", role(21), roleURL, 20, "database's"},
		{"of the role", database(-1), roleURL, 21, "role's"},
		{"superuser despite limits", database(20), url, most, "max_connections"},
		{"higher than the server's", database(9999) + ";" + role(9999), roleURL, ordinary, "max_connections"},
	} {
		servertest.PSQL(t, url, test.prepare)
		room, err := open(t, test.url).Room(t.Context())
		if err != nil || room.Connections != test.connections || !strings.Contains(room.Bound, test.bound) {
			t.Errorf("%s: room %+v, error %v; want %d connections, bound by the %s", test.name, room, err, test.connections, test.bound)
		}
	}
}

func TestSource_Check(t *testing.T) {
	url := servertest.Database(t)
	_, roleURL := login(t, url, "CONNECTION LIMIT 12")
	s := open(t, roleURL)
	if err := s.Check(t.Context(), source.Budget{Concurrency: 3, Connections: 2}); err != nil {
		t.Errorf("3 x (2 + 2) of 12: %v", err)
	}
	err := s.Check(t.Context(), source.Budget{Concurrency: 3, Connections: 3})
	const want = "3 exports at the same time may need 15 connections to Postgres (5 each), but it allows the service 12 (the role's connection limit). " +
		"Lower MaximumConcurrency or ExportConnections, or raise the role's CONNECTION LIMIT."
	if export.CodeOf(err) != export.Unavailable || export.MessageOf(err) != want {
		t.Errorf("3 x (3 + 2) of 12: error %v", err)
	}
	if err := open(t, "postgres://u:p@127.0.0.1:1/db").Check(t.Context(), source.Budget{Concurrency: 2, Connections: 1}); export.CodeOf(err) != export.SourceUnreachable {
		t.Errorf("nobody listens: error %v", err)
	}
}
