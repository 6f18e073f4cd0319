package source_test

import (
	neturl "net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"csvexport/internal/servertest"
)

// The role of seeds/reader.sql can export what it is for, and do nothing else.
func TestRole(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 100)
	servertest.PSQL(t, url, "CREATE TABLE secrets (id int); CREATE SCHEMA other; CREATE TABLE other.orders (id int) PARTITION BY RANGE (id); CREATE TABLE other.orders_1 PARTITION OF other.orders FOR VALUES FROM (1) TO (9)")
	role := "reader-" + uuid.NewString()
	t.Cleanup(func() {
		servertest.PSQL(t, url, `DROP OWNED BY "`+role+`"`)
		servertest.PSQL(t, servertest.Server(t), `DROP ROLE "`+role+`"`)
	})
	for range 2 { // the second time changes nothing
		servertest.Script(t, url, "../../seeds/reader.sql", "role="+role, "password=it's", "tables=public.users, other.orders")
	}
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = neturl.UserPassword(role, "it's")
	s := open(t, u.String())
	snap := snapshot(t, s, uuid.NewString(), 1)
	if text, rows := copyAll(t, reader(t, snap)); rows != 100 || text == "" {
		t.Errorf("%d rows, want 100", rows)
	}
	if err := s.EndEarlier(t.Context(), uuid.NewString(), 2); err != nil {
		t.Errorf("end earlier sessions: %v", err)
	}
	if out := servertest.PSQL(t, u.String(), "SELECT count(*) FROM other.orders_1"); out != "0\n" {
		t.Errorf("a partition, by its own name: %s", out)
	}
	for name, sql := range map[string]string{
		"another table":            "SELECT FROM secrets",
		"insert":                   "SET default_transaction_read_only = off; INSERT INTO users SELECT * FROM users",
		"update":                   "SET default_transaction_read_only = off; UPDATE users SET name = ''",
		"delete":                   "SET default_transaction_read_only = off; DELETE FROM users",
		"truncate":                 "SET default_transaction_read_only = off; TRUNCATE users",
		"create a table":           "SET default_transaction_read_only = off; CREATE TABLE mine (id int)",
		"create a role":            "CREATE ROLE mine",
		"create, though read only": "CREATE TEMP TABLE mine (id int); INSERT INTO users SELECT * FROM users",
		"read a file":              "COPY (SELECT 1) TO PROGRAM 'true'",
	} {
		out := servertest.Refused(t, u.String(), sql)
		// PostgreSQL 14 says "must be superuser" where later ones say "permission denied".
		if !strings.Contains(out, "denied") && !strings.Contains(out, "read-only") && !strings.Contains(out, "must be superuser") {
			t.Errorf("%s: %s", name, out)
		}
	}
}
