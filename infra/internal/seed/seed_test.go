package seed_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/seed"
	"csvexport/infra/internal/stack"
)

const root = "../../.."

// withDatabase calls f with a fresh database of its own server.
func withDatabase(t *testing.T, f func(psql.DB)) {
	t.Helper()
	folder, err := stack.Open(root, "seed-test", true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := folder.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = stack.WithPostgres(t.Context(), folder, os.Stderr, func(db psql.DB) error {
		f(db)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, db psql.DB, rows int64) {
	t.Helper()
	if err := seed.Users(t.Context(), db, root, rows); err != nil {
		t.Fatalf("%d rows: %v", rows, err)
	}
}

func value(t *testing.T, db psql.DB, query string) string {
	t.Helper()
	v, err := db.Value(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// sum is the SHA-256 of the first rows of the table, as CSV.
func sum(t *testing.T, db psql.DB, order string) string {
	t.Helper()
	h := sha256.New()
	if err := db.Copy(t.Context(), "COPY (SELECT * FROM users "+order+") TO STDOUT (FORMAT csv, HEADER)", h); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestUsers(t *testing.T) {
	withDatabase(t, func(db psql.DB) {
		t.Run("same rows for every size and order", func(t *testing.T) {
			const golden = "145394a70997dd044ea606c65f66ceca2c14f6d13c3f83a286165e6899c9a231"
			for _, rows := range []int64{5000, 5001, 20000, 5000} { // made, extended, made anew, made smaller
				fill(t, db, rows)
				if got, err := db.Count(t.Context(), "users"); err != nil || got != rows {
					t.Fatalf("%d rows, want %d; error %v", got, rows, err)
				}
				if got := sum(t, db, "WHERE id <= 5000 ORDER BY id"); got != golden {
					t.Errorf("the first 5000 of %d rows have SHA-256 %s, want %s", rows, got, golden)
				}
			}
		})
		t.Run("seeding again changes nothing", func(t *testing.T) {
			fill(t, db, 5000)
			before := value(t, db, "SELECT min(xmin::text) FROM users")
			fill(t, db, 5000)
			if after := value(t, db, "SELECT min(xmin::text) FROM users"); after != before {
				t.Error("the rows were written anew")
			}
		})
		t.Run("shape", func(t *testing.T) { checkShape(t, db) })
		t.Run("no rows", func(t *testing.T) {
			fill(t, db, 0)
			value(t, db, "INSERT INTO users (name, email, country_code) VALUES ('a', 'b', 'US')")
			if got := value(t, db, "SELECT id FROM users"); got != "1" {
				t.Errorf("the first id of an empty table is %s, want 1", got)
			}
		})
		t.Run("interrupted", func(t *testing.T) { checkInterrupted(t, db) })
		t.Run("a table of the user's own", func(t *testing.T) { checkForeign(t, db) })
		t.Run("examples", func(t *testing.T) { checkExamples(t, db) })
	})
}

func checkShape(t *testing.T, db psql.DB) {
	fill(t, db, 20000)
	for query, want := range map[string]string{
		"SELECT min(id) || ' ' || max(id) FROM users":                                                         "1 20000",
		"SELECT correlation > 0.9999 FROM pg_stats WHERE tablename = 'users' AND attname = 'id'":              "t", // the heap is in the order of ids
		"SELECT nextval('users_id_seq')":                                                                      "20001",
		"SELECT count(DISTINCT country_code) >= 25 FROM users":                                                "t",
		"SELECT count(DISTINCT subscription_tier) FROM users":                                                 "4",
		"SELECT max(lifetime_value) || ' ' || min(lifetime_value) FROM users":                                 "99999.99 0.00",
		"SELECT count(*) BETWEEN 1 AND 1000 FROM users WHERE signup_date IS NULL":                             "t",
		"SELECT count(*) BETWEEN 1 AND 1000 FROM users WHERE lifetime_value IS NULL":                          "t",
		"SELECT count(*) BETWEEN 1 AND 1000 FROM users WHERE subscription_tier IS NULL":                       "t",
		"SELECT count(*) > 0 FROM users WHERE signup_date <> date_trunc('second', signup_date)":               "t",
		"SELECT extract(year FROM min(signup_date)) || '-' || extract(year FROM max(signup_date)) FROM users": "2020-2026",
		`SELECT bool_and(n > 0) FROM (SELECT count(*) AS n FROM (VALUES ('%,%'), ('%"%'), (E'%\n%'), (E'%\t%'), ('%é%'), ('%𠮷%'), ('=%'), ('+%'), ('-%'), ('@%'), ('\\N'), (''), (' '), ('NULL')) AS p (pattern)
			LEFT JOIN users ON name LIKE pattern GROUP BY pattern)`: "t",
		"SELECT string_agg(indexdef, E'\n' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'users'": strings.Join([]string{
			"CREATE INDEX users_country_code_idx ON public.users USING btree (country_code)",
			"CREATE UNIQUE INDEX users_email_key ON public.users USING btree (email)",
			"CREATE INDEX users_lifetime_value_idx ON public.users USING btree (lifetime_value)",
			"CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id)",
			"CREATE INDEX users_signup_date_idx ON public.users USING btree (signup_date)",
			"CREATE INDEX users_subscription_tier_idx ON public.users USING btree (subscription_tier)",
		}, "\n"),
	} {
		if got := value(t, db, query); got != want {
			t.Errorf("%s\nis %s, want %s", query, got, want)
		}
	}
}

func checkInterrupted(t *testing.T, db psql.DB) {
	fill(t, db, 5000)
	before := sum(t, db, "ORDER BY id")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := seed.Users(ctx, db, root, 50_000_000); err == nil {
		t.Fatal("50 million rows were made in 300 ms")
	}
	if after := sum(t, db, "ORDER BY id"); after != before {
		t.Error("an interrupted run changed the table")
	}
}

func checkForeign(t *testing.T, db psql.DB) {
	value(t, db, "DROP TABLE users")
	value(t, db, "CREATE TABLE users AS SELECT 1 AS precious")
	err := seed.Users(t.Context(), db, root, 10)
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v; want one line that says that nothing was changed", err)
	}
	if got := value(t, db, "SELECT precious FROM users"); got != "1" {
		t.Errorf("the user's table holds %q", got)
	}
}

// The other examples are the same on every server, and are made once.
func checkExamples(t *testing.T, db psql.DB) {
	for name, golden := range map[string]string{
		"events": "bc6ed948b58991c752a7fb083a8c9fd1702bf7dda98cdfc2cb3987d67caee009",
		"orders": "66d976b2b7826fda562117833e1d8e767604dcdea0b2de9452198c435f498325",
	} {
		table := func(rows int64) {
			t.Helper()
			if err := seed.Table(t.Context(), db, root, name, rows); err != nil {
				t.Fatalf("%d %s: %v", rows, name, err)
			}
			if got, err := db.Count(t.Context(), name); err != nil || got != rows {
				t.Errorf("%d %s, want %d; error %v", got, name, rows, err)
			}
		}
		table(0)
		table(3000)
		h := sha256.New()
		if err := db.Copy(t.Context(), "COPY (SELECT * FROM "+name+" ORDER BY id) TO STDOUT (FORMAT csv, HEADER)", h); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != golden {
			t.Errorf("3000 %s have SHA-256 %s, want %s", name, got, golden)
		}
		made := "SELECT oid FROM pg_class WHERE relname = '" + name + "'"
		before := value(t, db, made)
		table(3000)
		if after := value(t, db, made); after != before {
			t.Errorf("%s was made anew", name)
		}
		value(t, db, "DROP TABLE "+name)
		value(t, db, "CREATE TABLE "+name+" AS SELECT 1 AS precious")
		if err := seed.Table(t.Context(), db, root, name, 10); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("error %v; want one that says that nothing was changed", err)
		}
	}
}
