package source_test

import (
	"testing"

	"github.com/google/uuid"

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
