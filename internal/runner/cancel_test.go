package runner_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// A cancelled worker ends its queries in the server within two seconds,
// whether rows flow or not, and leaves nothing.
func TestRunner_cancelled(t *testing.T) {
	for name, test := range map[string]struct {
		prepare string // SQL after the users table is there
		ready   func(e export.Export) bool
		locked  bool
	}{
		"while rows flow": {
			prepare: `ALTER TABLE users RENAME TO fast;
				CREATE FUNCTION slowly(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN $1; END';
				CREATE VIEW users AS SELECT id, slowly(name) AS name, email, signup_date, country_code, subscription_tier, lifetime_value FROM fast;
				DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_sort = off', current_database()); END $$`, // or all rows would come at the end
			ready: func(e export.Export) bool { return e.Progress.ProcessedRows > 0 },
		},
		"while no row comes": {prepare: "SELECT 1", locked: true, ready: func(e export.Export) bool { return e.Phase == export.Running }},
	} {
		t.Run(name, func(t *testing.T) {
			url := servertest.Database(t)
			servertest.Users(t, url, 20_000)
			servertest.PSQL(t, url, test.prepare)
			f := newFixture(t, url)
			e := f.create(t)
			var background sync.WaitGroup
			defer background.Wait()
			if test.locked {
				lockUsers(t, &background, url)
			}
			lines := servertest.Log(t)
			stopped := f.start(t, &background, e.ID)
			backends := func() string {
				return strings.TrimSpace(servertest.PSQL(t, url, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'csvexport "+e.ID+"/%'"))
			}
			waitFor(t, func() bool { return test.ready(f.get(t, e.ID)) && backends() != "0" })
			if err := f.Jobs.Cancel(t.Context(), f.get(t, e.ID), time.Now(), time.Hour); err != nil {
				t.Fatal(err)
			}
			cancelled := time.Now()
			waitFor(t, func() bool { return backends() == "0" })
			if took := time.Since(cancelled); took > 2*time.Second {
				t.Errorf("its queries ended %v after the cancel, want 2 s at most", took)
			}
			<-stopped
			if got := f.get(t, e.ID); got.Status != export.Cancelled {
				t.Errorf("status %s: the late worker changed it", got.Status)
			}
			if n := f.messages(t); n != 0 {
				t.Errorf("%d messages: the cancelled export would be tried again", n)
			}
			f.wantNothingLeft(t, e, 0)
			servertest.WantMetrics(t, lines(), map[string]float64{"WaitSeconds": servertest.Some}) // a cancel is no lost lease
		})
	}
}
