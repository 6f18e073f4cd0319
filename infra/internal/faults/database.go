package faults

import (
	"strings"
	"time"

	"csvexport/infra/internal/wire"
)

// databaseFaults are of Postgres and the way to it.
func databaseFaults() []fault {
	return []fault{
		{8, "Postgres restarted, connection lost", []point{
			{name: "backend terminated", run: func(t *trial) {
				inCopy(t, func(id string) {
					t.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'csvexport " + id + "/%'")
				})
			}},
			{name: "restarted", alone: true, run: func(t *trial) {
				inCopy(t, func(string) { t.must(t.stack.RestartPostgres(t.ctx)) })
			}},
			{name: "connections reset", alone: true, run: func(t *trial) {
				inCopy(t, func(string) { t.spoil(t.database.Break, 2*time.Second) })
			}},
			{name: "connections swallowed", alone: true, run: func(t *trial) {
				// For longer than it takes to notice: 30 s of silence, and a question that isn't answered.
				inCopy(t, func(string) { t.spoil(t.database.Silence, 50*time.Second) })
			}},
		}},
		{9, "statement_timeout, recovery conflict", []point{
			{name: "each time", run: func(t *trial) {
				id := t.create("f9always")
				t.wait("the first attempt has failed", reachTime, func() bool { s := t.status(id); return s.Attempts == 1 && s.Phase == "queued" })
				t.strike()
				s := t.end(id, "failed", 5)
				if s.ErrorCode != "attempts_exhausted" || !strings.Contains(s.Error, "The database ended the export's query.") {
					t.errorf("the export failed by %s: %s", s.ErrorCode, s.Error)
				}
			}},
			{name: "once", run: func(t *trial) {
				id := t.create("f9once")
				t.wait("the first attempt has failed", reachTime, func() bool { s := t.status(id); return s.Attempts == 1 && s.Phase == "queued" })
				t.strike()
				t.query("DELETE FROM f9switch")
				t.end(id, "completed", 2)
			}},
		}},
		{10, "dropped, renamed, revoked between create and run", []point{
			{name: "table dropped", run: func(t *trial) { changed(t, "f10drop", "DROP TABLE f10drop", "table doesn't exist") }},
			{name: "column renamed", run: func(t *trial) {
				changed(t, "f10rename", "ALTER TABLE f10rename RENAME email TO mail", "column of the dataset doesn't exist")
			}},
			{name: "permission revoked", alone: true, run: func(t *trial) {
				t.after(func() { t.query("GRANT pg_read_all_data TO exporter") })
				changed(t, table, "REVOKE pg_read_all_data FROM exporter", "may not read")
			}},
		}},
	}
}

// inCopy has something happen to the database while an export's rows flow. The
// attempt fails; a later one may come while the database is still away.
func inCopy(t *trial, happen func(id string)) {
	g := wire.Before()
	id := t.createGated(g, copying)
	t.arrive(g)
	if t.sessions(id, "%") == 0 { // the file's first part of three is full; what a query still has may all be on its way
		t.fatalf("no rows were being copied")
	}
	happen(id)
	t.strike()
	g.Open()
	if s := t.end(id, "completed", 0); s.Attempts < 2 {
		t.errorf("the export was completed by its first attempt")
	}
}

// spoil does something to all connections to the database: those that there
// are, and those that are made before it ends.
func (t *trial) spoil(how func(), lasts time.Duration) {
	how()
	t.after(t.database.Restore)
	time.AfterFunc(lasts, t.database.Restore)
}

// changed has the database change under an export that waits.
func changed(t *trial, name, statement, says string) {
	id := t.createHeldOf(name)
	t.query(statement)
	t.strike()
	t.deliver(id)
	s := t.end(id, "failed", 1)
	if s.ErrorCode != "source_rejected" || !strings.Contains(s.Error, says) {
		t.errorf("the export failed by %s: %s", s.ErrorCode, s.Error)
	}
}
