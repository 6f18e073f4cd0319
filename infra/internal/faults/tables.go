package faults

import (
	"context"
	"fmt"
	"time"

	"csvexport/infra/internal/wire"
)

const (
	// table is what most exports are of; rows are enough for three parts.
	table = "users"
	// smallTable is of exports that come in numbers.
	smallTable = "small"
	smallRows  = 2000
)

// copies are tables as users is, for points that change them.
var copies = []string{"f10drop", "f10rename", "f19", "f21truncate", "f21vacuum", "f21alter"}

// Prepare makes the tables. The users table must be there.
func (s *Suite) Prepare(ctx context.Context) error {
	var statements []string
	for _, name := range copies {
		statements = append(statements, fmt.Sprintf("DROP TABLE IF EXISTS %[1]s; CREATE TABLE %[1]s (LIKE users INCLUDING ALL); INSERT INTO %[1]s SELECT * FROM users", name))
	}
	statements = append(statements,
		fmt.Sprintf("DROP TABLE IF EXISTS %[1]s; CREATE TABLE %[1]s (LIKE users INCLUDING ALL); INSERT INTO %[1]s SELECT * FROM users WHERE id <= %d", smallTable, smallRows),
		// A view that fails at one of its rows: always with what statement_timeout gives, or, as long as the switch is on, with what a
		// standby gives that must replay what a query still needs.
		`DROP VIEW IF EXISTS f9always, f9once; DROP TABLE IF EXISTS f9switch; CREATE TABLE f9switch (state text); INSERT INTO f9switch VALUES ('on')`,
		`CREATE OR REPLACE FUNCTION f9fail(id integer, code text, always boolean) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
			BEGIN
				IF id = 1500 AND (always OR EXISTS (SELECT FROM public.f9switch)) THEN
					RAISE EXCEPTION 'canceling statement' USING ERRCODE = code;
				END IF;
				RETURN id;
			END $$`,
	)
	for name, call := range map[string]string{"f9always": "public.f9fail(id, '57014', true)", "f9once": "public.f9fail(id, '40001', false)"} {
		statements = append(statements, "CREATE VIEW "+name+" AS SELECT "+call+" AS id, name, email, signup_date, country_code, subscription_tier, lifetime_value FROM "+smallTable)
	}
	for _, statement := range append(statements, "ANALYZE") {
		if _, err := s.stack.State.DB().Value(ctx, statement); err != nil {
			return err
		}
	}
	small, err := s.content(ctx, smallTable)
	if err != nil {
		return err
	}
	s.contents["f9always"], s.contents["f9once"] = small, small // psql would meet the fault as well
	return nil
}

// Datasets is the catalog of all these tables.
func Datasets() string {
	text := "datasets:\n"
	for _, name := range append([]string{table, smallTable, "f9always", "f9once"}, copies...) {
		text += "  - name: " + name + "\n    relation: public." + name + "\n    key: [id]\n    columns:\n"
		for _, column := range [][2]string{
			{"id", "integer"},
			{"name", "varchar(255)"},
			{"email", "varchar(255)"},
			{"signup_date", "timestamptz"},
			{"country_code", "char(2)"},
			{"subscription_tier", "varchar(50)"},
			{"lifetime_value", `"numeric(10,2)"`},
		} {
			text += "      - { name: " + column[0] + ", type: " + column[1] + " }\n"
		}
	}
	return text
}

// tableFaults are of others who change what is exported.
func tableFaults() []fault {
	return []fault{
		{19, "rows change during the export", []point{{name: "insert, update, delete", run: func(t *trial) {
			during(t, "f19", `INSERT INTO f19 SELECT id + 10000000, name, 'new' || email, signup_date, country_code, subscription_tier, lifetime_value FROM f19 WHERE id % 70 = 0;
				UPDATE f19 SET name = 'changed', lifetime_value = 0 WHERE id % 30 = 0; DELETE FROM f19 WHERE id % 50 = 0`, false)
		}}}},
		{21, "the table is rewritten", []point{
			{name: "TRUNCATE", run: func(t *trial) { during(t, "f21truncate", "TRUNCATE f21truncate", true) }},
			{name: "VACUUM FULL", run: func(t *trial) { during(t, "f21vacuum", "VACUUM FULL f21vacuum", true) }},
			{name: "ALTER TABLE", run: func(t *trial) {
				during(t, "f21alter", "ALTER TABLE f21alter ALTER lifetime_value TYPE numeric(20,4)", true)
			}},
		}},
	}
}

// during has a statement run while an export's rows flow. One that rewrites the
// table queues behind the export.
func during(t *trial, name, statement string, queues bool) {
	g := wire.Before()
	id := t.createHeldOf(name)
	t.gate(id, g, copying)
	t.deliver(id)
	t.arrive(g)
	done := make(chan error, 1)
	go func() {
		_, err := t.stack.State.DB().Value(t.ctx, statement)
		done <- err
	}()
	if queues {
		t.wait("the statement waits for the export", reachTime, func() bool {
			return t.query("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '"+name+"'::regclass") != "0"
		})
	} else {
		t.must(<-done)
	}
	t.strike()
	g.Open()
	if s := t.end(id, "completed", 0); s.Attempts > 1 { // the machine was so busy that the worker gave its request up: another snapshot, after the change
		content, err := t.Suite.content(t.ctx, name)
		t.must(err)
		t.content[id] = content
	}
	if queues {
		select {
		case err := <-done:
			t.must(err)
		case <-time.After(reachTime):
			t.fatalf("the statement still waits")
		}
	}
}
