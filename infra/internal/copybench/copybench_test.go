package copybench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result has candidates whose medians are 3, 6, 2 and 4 s.
func result() Result {
	runs := func(seconds ...float64) (list []usage) {
		for _, s := range seconds {
			list = append(list, usage{Seconds: s, CPU: s / 2, Postgres: s / 4, PeakMB: 10 * s})
		}
		return list
	}
	export := runs(4, 4)
	export[0].StandIns, export[1].StandIns = 1, 1
	return Result{
		When: time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC), Postgres: "18.6 (somewhere)", Rows: 6_000_000, Rounds: 3,
		Candidates: []Candidate{
			{Name: "psql_copy", What: "psql", Rows: 6_000_000, Runs: runs(9, 3, 2)},
			{Name: "psql_copy_gzip", What: "psql | gzip", Rows: 6_000_000, Runs: runs(5, 7)},
			{Name: "offset_pages", What: "pages", Rows: 200_000, Runs: runs(2)},
			{Name: "engine_w2", What: "engine", Rows: 6_000_000, Runs: runs(2, 1, 3)},
			{Name: "export_http", What: "export", Rows: 6_000_000, Runs: export},
		},
	}
}

func TestResult_Ratios(t *testing.T) {
	want := map[string]float64{
		"engine_vs_psql_copy": 1.5, "engine_vs_psql_gzip": 3, "export_vs_psql_copy": 0.75, "export_vs_psql_copy_without_standins": 1,
	}
	got := map[string]float64{}
	for _, r := range result().Ratios() {
		got[r.Name] = r.Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestResult_WriteJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.json")
	if err := result().WriteJSON(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Rows       int64
		Candidates map[string]map[string]any
		Ratios     map[string]float64
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Rows != 6_000_000 || got.Ratios["engine_vs_psql_copy"] != 1.5 || len(got.Candidates) != 5 {
		t.Errorf("%s", text)
	}
	want := map[string]any{
		"seconds_median": 3.0, "seconds": []any{9.0, 3.0, 2.0}, "cpu_seconds": 1.5, "postgres_cpu_seconds": 0.75,
		"peak_rss_mb": 90.0, "rows": 6e6, "rows_per_second": 2e6,
	}
	if diff := cmp.Diff(want, got.Candidates["psql_copy"]); diff != "" {
		t.Error(diff)
	}
}

func TestResult_Markdown(t *testing.T) {
	text := result().Markdown()
	for _, want := range []string{
		"PostgreSQL 18.6, ", "6000000 rows", "| `psql_copy` | psql | 3 | **3.00** (9.00, 3.00, 2.00) | 2000 K | 1.50 | 0.75 | 90 |",
		"pages (200000 rows)", "| `engine_vs_psql_copy` | 1.50 | at least 1.3: met |", "| `export_vs_psql_copy` | 0.75 | at least 0.8: **missed** |",
		"took 1.00 CPU seconds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestResult_plots(t *testing.T) {
	rows, memory := filepath.Join(t.TempDir(), "rows.svg"), filepath.Join(t.TempDir(), "memory.svg")
	if err := result().PlotRows(rows); err != nil {
		t.Fatal(err)
	}
	if err := result().PlotMemory(memory); err != nil {
		t.Fatal(err)
	}
	for path, wants := range map[string][]string{rows: {"psql_copy_gzip", "2000 K"}, memory: {"engine_w2", ">90<"}} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !bytes.Contains(text, []byte(want)) {
				t.Errorf("no %q in %s", want, text)
			}
		}
	}
}

func TestCandidate_turn(t *testing.T) {
	const fast, late = 0.1, 31
	for name, tt := range map[string]struct {
		seconds []float64 // of the rounds, the warm-up first
		want    int
	}{
		"fast":         {[]float64{fast, fast, fast, fast, fast, fast}, 5},
		"slow":         {[]float64{late, late, late, late, late, late}, 2},
		"slow at once": {[]float64{fast, fast, fast, late, fast, fast}, 3},
	} {
		round := 0
		c := Candidate{run: func(context.Context) (usage, error) { return usage{Seconds: tt.seconds[round]}, nil }}
		for ; round < len(tt.seconds); round++ {
			if err := c.turn(t.Context(), round, t.Output()); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.Runs) != tt.want {
			t.Errorf("%s: %d measured runs, want %d", name, len(c.Runs), tt.want)
		}
	}
}

func TestMemory_Markdown(t *testing.T) {
	e := func(rows int64, peak float64) Export { return Export{Rows: rows, Bytes: 5e6, Seconds: 2, PeakMB: peak} }
	m := Memory{
		Postgres: "18.6", Narrow: []Export{e(1_000_000, 40), e(20_000_000, 43)}, Wide: []Export{e(10_000, 40), e(200_000, 70)},
		Alone: e(1_000_000, 40), Together: []Export{e(1_000_000, 41), e(1_000_000, 42)}, Seconds: 3,
		First: First{Rows: 80 * time.Millisecond},
	}
	text := m.Markdown()
	m.First = First{}
	text += m.Markdown()
	for _, want := range []string{
		"| 20000000 | 5 | 2.0 | **43.0** | at most 64: met |", "| 200000 | 5 | 2.0 | **70.0** | at most 64: **missed** |",
		"`users` | 1.07 | at most 1.10: met |", "20 KB | 1.75 | at most 1.10: **missed** |",
		"20000000 rows | 80 ms | at most 100 ms: met |", "rows | not seen | at most 100 ms: **missed** |", "`totalRows`, 20000000 rows | not seen |",
		"2 exports of 1000000 rows at once, to one's alone | 1.33 (667 K, 500 K) | at least 1: met |", "MB | 42.0 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestPipeline(t *testing.T) {
	var out bytes.Buffer
	sh := func(script string) *exec.Cmd { return exec.CommandContext(t.Context(), "/bin/sh", "-c", script) }
	last := sh("sort -r")
	last.Stdout = &out
	u, err := pipeline(t.Context(), sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo a; echo b"), last)
	if err != nil || out.String() != "b\na\n" {
		t.Fatalf("%q (%v)", out.String(), err)
	}
	if u.Seconds <= 0 || u.CPU <= 0 || u.CPU > 2*u.Seconds {
		t.Errorf("usage %+v", u)
	}
	if _, err := pipeline(t.Context(), sh("echo oops >&2; exit 3"), sh("cat")); err == nil || !strings.Contains(err.Error(), "exit status 3: oops") {
		t.Errorf("error %v, want the status and what the program said", err)
	}
	if _, err := pipeline(t.Context(), sh("yes"), exec.CommandContext(t.Context(), "/no/such/program")); err == nil {
		t.Error("no error for a missing program")
	}
}
