package source_test

import (
	"bytes"
	"context"
	"errors"
	neturl "net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// users is the default catalog's selection of all rows.
func users(t *testing.T) dataset.Selection {
	t.Helper()
	return selection(t, export.Spec{Dataset: "users"})
}

func selection(t *testing.T, spec export.Spec) dataset.Selection {
	t.Helper()
	catalog := dataset.Default()
	d, _ := catalog.Find("users")
	sel, err := catalog.Resolve(spec, d.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

// usersPlan copies all users in one range.
func usersPlan(t *testing.T) source.Plan {
	t.Helper()
	return source.Plan{Selection: users(t), Order: export.ByKey}
}

func open(t *testing.T, url string) *source.Source {
	t.Helper()
	s, err := source.New(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func snapshot(t *testing.T, s *source.Source, id string, attempt int) *source.Snapshot {
	t.Helper()
	snap, err := s.Snapshot(t.Context(), id, attempt, users(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { snap.Close(context.Background()) })
	return snap
}

func reader(t *testing.T, snap *source.Snapshot) *source.Reader {
	t.Helper()
	r, err := snap.Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// copyAll copies every range of the users' selection.
func copyAll(t *testing.T, r *source.Reader) (string, int64) {
	t.Helper()
	return copySelection(t, r, users(t))
}

func copySelection(t *testing.T, r *source.Reader, sel dataset.Selection) (string, int64) {
	t.Helper()
	plan, err := r.Plan(t.Context(), sel)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	var rows int64
	for _, rng := range plan.Ranges {
		n, err := r.Copy(t.Context(), plan, rng, &out)
		if err != nil {
			t.Fatal(err)
		}
		rows += n
	}
	return out.String(), rows
}

const copyUsers = `COPY (SELECT * FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`

func TestReader_Copy_equalsPsql(t *testing.T) {
	for name, n := range map[string]int{"no rows": 0, "one row": 1, "many rows": 20_000} {
		t.Run(name, func(t *testing.T) {
			url := servertest.Database(t)
			servertest.Users(t, url, n)
			got, rows := copyAll(t, reader(t, snapshot(t, open(t, url), uuid.NewString(), 1)))
			if want := servertest.PSQL(t, url, copyUsers); got != want {
				t.Errorf("%d bytes differ from psql's %d", len(got), len(want))
			}
			if rows != int64(n) {
				t.Errorf("rows = %d, want %d", rows, n)
			}
		})
	}
}

// Filters and columns, with the SQL that they mean written by hand.
func TestReader_Copy_selections(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 5000)
	servertest.PSQL(t, url, `UPDATE users SET subscription_tier = 'it''s \\ "x"' WHERE id % 17 = 0`)
	snap := snapshot(t, open(t, url), uuid.NewString(), 1)
	for _, test := range []struct {
		name    string
		filters map[string][]string
		columns []string
		sql     string
	}{
		{"one country", map[string][]string{"country_code": {"DE"}}, nil, "SELECT * FROM users WHERE country_code = 'DE'"},
		{"countries", map[string][]string{"country_code": {"DE", "FR"}}, nil, "SELECT * FROM users WHERE country_code IN ('DE', 'FR')"},
		{"hostile tier", map[string][]string{"subscription_tier": {`it's \ "x"`}}, nil, `SELECT * FROM users WHERE subscription_tier = 'it''s \ "x"'`},
		{"injection", map[string][]string{"subscription_tier": {`' OR 1=1 --`}}, nil, "SELECT * FROM users WHERE false"},
		{"least value", map[string][]string{"lifetime_value_min": {"12.34"}}, nil, "SELECT * FROM users WHERE lifetime_value >= 12.34"},
		{"greatest value", map[string][]string{"lifetime_value_max": {"12.34"}}, nil, "SELECT * FROM users WHERE lifetime_value <= 12.34"},
		{
			"days",
			map[string][]string{"signup_date_from": {"2024-01-02T00:00:00Z"}, "signup_date_to": {"2024-01-03"}},
			nil,
			"SELECT * FROM users WHERE signup_date >= '2024-01-02 00:00+00' AND signup_date < '2024-01-04 00:00+00'",
		},
		{
			"until a moment",
			map[string][]string{"signup_date_to": {"2024-01-01T00:10:00.01Z"}},
			nil,
			"SELECT * FROM users WHERE signup_date <= '2024-01-01 00:10:00.01+00'",
		},
		{
			"all at once",
			map[string][]string{"country_code": {"US"}, "subscription_tier": {"premium"}, "lifetime_value_min": {"3"}},
			[]string{"email", "id"},
			"SELECT email, id FROM users WHERE country_code = 'US' AND subscription_tier = 'premium' AND lifetime_value >= 3",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			sel := selection(t, export.Spec{Dataset: "users", Filters: test.filters, Columns: test.columns})
			r := reader(t, snap)
			got, n := copySelection(t, r, sel)
			if want := servertest.PSQL(t, url, "COPY ("+test.sql+" ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"); got != want {
				t.Errorf("%d bytes differ from psql's %d", len(got), len(want))
			}
			if counted, err := r.Count(t.Context(), sel); err != nil || counted != n {
				t.Errorf("counted %d rows (%v), copied %d", counted, err, n)
			}
		})
	}
}

// The server's and the role's own settings don't change the bytes.
func TestReader_Copy_pinsSettings(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 100)
	want := servertest.PSQL(t, url, copyUsers)
	servertest.PSQL(t, url, `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Tokyo''', current_database());
		EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German''', current_database());
		EXECUTE format('ALTER DATABASE %I SET client_encoding = ''LATIN1''', current_database());
		EXECUTE format('ALTER DATABASE %I SET search_path = ''nowhere''', current_database()); END $$`)
	got, _ := copyAll(t, reader(t, snapshot(t, open(t, url), uuid.NewString(), 1)))
	if got != want {
		t.Error("the database's own settings changed the bytes")
	}
}

// Every reader sees the snapshot's rows, whatever happens to the table later.
func TestSnapshot_isOneState(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 1000)
	want := servertest.PSQL(t, url, copyUsers)
	snap := snapshot(t, open(t, url), uuid.NewString(), 1)
	first := reader(t, snap)
	servertest.PSQL(t, url, `DELETE FROM users WHERE id < 500; UPDATE users SET name = 'changed';
		INSERT INTO users (name, email, country_code) VALUES ('new', 'new@example.com', 'US')`)
	for name, r := range map[string]*source.Reader{"before the change": first, "after the change": reader(t, snap)} {
		if got, _ := copyAll(t, r); got != want {
			t.Errorf("the reader opened %s saw other rows than the snapshot's", name)
		}
		if n, err := r.Count(t.Context(), users(t)); err != nil || n != 1000 {
			t.Errorf("the reader opened %s counted %d rows (%v), want 1000", name, n, err)
		}
	}
	if age := time.Since(snap.AsOf()); age < 0 || age > time.Minute {
		t.Errorf("snapshot is of %v, %v ago", snap.AsOf(), age)
	}
}

// TRUNCATE isn't transactional for older snapshots: the lock keeps it out.
func TestSnapshot_keepsTruncateOut(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	snap := snapshot(t, open(t, url), uuid.NewString(), 1)
	out := servertest.PSQL(t, url, `SET lock_timeout = '100ms';
		DO $$ BEGIN TRUNCATE users; RAISE EXCEPTION 'truncated'; EXCEPTION WHEN lock_not_available THEN NULL; END $$;
		SELECT 'kept out'`)
	if strings.TrimSpace(out) != "kept out" {
		t.Error("TRUNCATE went through beside a snapshot")
	}
	if _, rows := copyAll(t, reader(t, snap)); rows != 10 {
		t.Errorf("copied %d rows, want 10", rows)
	}
}

func TestSnapshot_errors(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	role := "stranger " + uuid.NewString()
	quoted := `"` + role + `"`
	t.Cleanup(func() { servertest.PSQL(t, servertest.Server(t), "DROP ROLE "+quoted) })
	for _, test := range []struct {
		name, prepare, url string
		want               export.Code
		says               string
	}{
		{"column renamed", "ALTER TABLE users RENAME name TO full_name", url, export.SourceRejected, "A column"},
		{"no permission", "CREATE ROLE " + quoted + " LOGIN PASSWORD 'x'", as(t, url, role), export.SourceRejected, "may not read"},
		{"table dropped", "DROP TABLE users", url, export.SourceRejected, "table doesn't exist"},
		{"nobody listens", "SELECT 1", "postgres://u:p@127.0.0.1:1/db", export.SourceUnreachable, "can't be reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			servertest.PSQL(t, url, test.prepare)
			err := func() error {
				snap, err := open(t, test.url).Snapshot(t.Context(), uuid.NewString(), 1, users(t))
				if err != nil {
					return err
				}
				defer snap.Close(t.Context())
				r, err := snap.Reader(t.Context())
				if err != nil {
					return err
				}
				defer r.Close(t.Context())
				plan, err := r.Plan(t.Context(), users(t))
				if err != nil {
					return err
				}
				_, err = r.Copy(t.Context(), plan, plan.Ranges[0], &bytes.Buffer{})
				return err
			}()
			if export.CodeOf(err) != test.want || !strings.Contains(export.MessageOf(err), test.says) {
				t.Errorf("error %v has code %s and message %q, want %s and %q", err, export.CodeOf(err), export.MessageOf(err), test.want, test.says)
			}
		})
	}
}

// as returns url for another role, whose password is x.
func as(t *testing.T, url, role string) string {
	t.Helper()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = neturl.UserPassword(role, "x")
	return u.String()
}

// A reader that stops leaves no query behind in the server.
func TestReader_Copy_stops(t *testing.T) {
	stop := errors.New("stop")
	for name, test := range map[string]struct {
		run  func(t *testing.T, r *source.Reader) error
		want error
	}{
		"by the writer's error": {func(t *testing.T, r *source.Reader) error {
			_, err := r.Copy(t.Context(), usersPlan(t), source.Range{}, failAfter{n: new(100), err: stop})
			return err
		}, stop},
		"by the context": {func(t *testing.T, r *source.Reader) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := r.Copy(ctx, usersPlan(t), source.Range{}, callAfter{n: new(100), f: func() { cancel(stop) }})
			return err
		}, stop},
	} {
		t.Run(name, func(t *testing.T) {
			url := servertest.Database(t)
			servertest.Users(t, url, 200_000)
			id := uuid.NewString()
			snap := snapshot(t, open(t, url), id, 1)
			r := reader(t, snap)
			if err := test.run(t, r); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			began := time.Now()
			r.Close(t.Context())
			snap.Close(t.Context())
			waitForNoBackend(t, url, id)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the server's query ended after %v, want 2 s at most", took)
			}
		})
	}
}

func TestSource_EndEarlier(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	s, id := open(t, url), uuid.NewString()
	first, other := snapshot(t, s, id, 1), snapshot(t, s, uuid.NewString(), 1)
	second := snapshot(t, s, id, 2)
	if err := s.EndEarlier(t.Context(), id, 2); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; { // the server ends a backend when that next looks
		r, err := first.Reader(t.Context())
		if err != nil {
			break
		}
		if r.Close(t.Context()); time.Now().After(deadline) {
			t.Fatal("the earlier attempt's snapshot is still there")
		}
	}
	reader(t, second)
	reader(t, other)
}

func waitForNoBackend(t *testing.T, url, id string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if n := servertest.PSQL(t, url, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'csvexport `+id+`/%'`); strings.TrimSpace(n) == "0" {
			return
		}
	}
	t.Error("the export's backends are still there")
}

type failAfter struct {
	n   *int
	err error
}

func (w failAfter) Write(p []byte) (int, error) {
	if *w.n--; *w.n < 0 {
		return 0, w.err
	}
	return len(p), nil
}

type callAfter struct {
	n *int
	f func()
}

func (w callAfter) Write(p []byte) (int, error) {
	if *w.n--; *w.n == 0 {
		w.f()
	}
	return len(p), nil
}
