package runner_test

import (
	"fmt"
	neturl "net/url"
	"testing"

	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// An export does with the connections that the server gives it, down to the
// snapshot's and one to read.
func TestRunner_fewConnections(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 400_000) // several ranges
	role := "few " + uuid.NewString()
	quoted := `"` + role + `"`
	servertest.PSQL(t, url, "CREATE ROLE "+quoted+" LOGIN PASSWORD 'x'; GRANT SELECT ON users TO "+quoted)
	t.Cleanup(func() {
		servertest.PSQL(t, url, "DROP OWNED BY "+quoted)
		servertest.PSQL(t, servertest.Server(t), "DROP ROLE "+quoted)
	})
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = neturl.UserPassword(role, "x")
	f := newFixture(t, u.String())
	f.Connections = 4
	want := servertest.PSQL(t, url, copyUsers)
	for _, limit := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("%d", limit), func(t *testing.T) {
			servertest.PSQL(t, url, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", quoted, limit))
			e := f.run(t, f.create(t).ID)
			if e.Status != export.Completed || e.Attempt != 1 {
				t.Fatalf("status %s after attempt %d, failure %v", e.Status, e.Attempt, e.Failure)
			}
			if got := f.file(t, e); got != want {
				t.Errorf("%d bytes differ from psql's %d", len(got), len(want))
			}
		})
	}
}
