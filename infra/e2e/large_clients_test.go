package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// clientProgram is a program of docs/clients.md that makes an export and
// fetches its file.
type clientProgram struct {
	file    string
	command []string
	query   string // what the file, or the program's own output, must hold by psql's COPY
	options string // of that COPY
	saved   string // the name of the file that it leaves; none: it writes to its standard output
	packed  bool
	resumes bool // goes on with the part that an earlier run has left
}

func clientPrograms(p readerPrograms) []clientProgram {
	return []clientProgram{
		{
			file: "export.sh", command: []string{"bash"}, saved: "users-us-de.csv.gz", packed: true, options: ", HEADER", resumes: true,
			query: `SELECT * FROM users WHERE country_code IN ('US', 'DE') AND signup_date >= '2022-01-01 00:00:00+00' AND signup_date < '2026-01-01 00:00:00+00' ORDER BY id`,
		},
		{file: "export.py", command: []string{p.python}, saved: "users.csv.gz", packed: true, options: ", HEADER", resumes: true, query: "SELECT * FROM users ORDER BY id"},
		{file: "export.mjs", command: []string{p.node}, saved: "users.csv", options: ", HEADER", query: "SELECT * FROM users WHERE subscription_tier = 'premium' ORDER BY id"},
		{
			file: "export.go", command: []string{"go", "run"},
			query: `SELECT country_code, count(*), coalesce(sum(lifetime_value), 0.00) FROM users GROUP BY country_code ORDER BY country_code COLLATE "C"`,
		},
	}
}

// TestClients runs every snippet of docs/clients.md as it stands there: each
// must find what psql finds, whatever happens on the way.
func TestClients(t *testing.T) {
	readers := installedReaders(t)
	programs := clientPrograms(readers)
	dir := t.TempDir()
	provideJQ(t)
	names := writeSnippets(t, dir)
	used := []string{"users_pandas.py", "users_duckdb.py"}
	for _, p := range programs {
		used = append(used, p.file)
	}
	slices.Sort(used)
	if diff := cmp.Diff(used, names); diff != "" {
		t.Fatalf("the snippets of docs/clients.md (-run here +in the document):\n%s", diff)
	}
	shared.seed(t, largeRows)
	t.Run("programs", func(t *testing.T) {
		for _, p := range programs {
			p.command = append(slices.Clone(p.command), filepath.Join(dir, p.file))
			t.Run(p.file, func(t *testing.T) {
				t.Parallel()
				t.Run("refused", func(t *testing.T) { p.checkRefused(t) })
				for _, status := range []string{"failed", "cancelled"} {
					t.Run(status, func(t *testing.T) { p.checkNotCompleted(t, status) })
				}
				t.Run("damaged", func(t *testing.T) { p.checkDamaged(t) })
				t.Run("completed", func(t *testing.T) { p.checkCompletes(t, dir) })
			})
		}
	})
	t.Run("users_pandas.py", func(t *testing.T) { checkPandas(t, readers, dir) })
	t.Run("users_duckdb.py", func(t *testing.T) { checkDuckDBTable(t, readers, dir) })
}

// provideJQ builds jq's twin in Go where the machine has no jq.
func provideJQ(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("jq"); err == nil {
		return
	}
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join(root, "infra"), "-o", filepath.Join(bin, "jq"), "github.com/itchyny/gojq/cmd/gojq").CombinedOutput(); err != nil {
		t.Fatalf("build gojq: %v\n%s", err, out)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// writeSnippets writes each fenced block of docs/clients.md into a file of the
// name in its info string, and returns the names in order.
func writeSnippets(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	snippets := map[string]*strings.Builder{}
	var open *strings.Builder
	for i, line := range strings.SplitAfter(string(text), "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open != nil:
			open = nil
		case fence:
			_, name, named := strings.Cut(info, " ")
			if !named || snippets[name] != nil {
				t.Fatalf("docs/clients.md:%d: %s: want a language and a name of its own, by which the snippet is run", i+1, line)
			}
			open = &strings.Builder{}
			snippets[name] = open
		case open != nil:
			open.WriteString(line)
		}
	}
	for name, text := range snippets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(snippets))
}

// run runs a program in a folder against the service behind a wire, and
// returns its standard output and standard error.
func (p clientProgram) run(t *testing.T, dir string, w *clientWire, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runIn(t, dir, append(slices.Clone(p.command), args...), "CSVEXPORT_URL="+w.url(), "CSVEXPORT_TOKEN="+clientToken, "GOFLAGS=", "GOWORK=off")
}

func runIn(t *testing.T, dir string, command []string, env ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems strings.Builder
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(append(environment(), "LC_ALL=C.UTF-8"), env...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", command, err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

// result is what a run has left: its file, or what it printed.
func (p clientProgram) result(t *testing.T, dir, stdout string) []byte {
	t.Helper()
	if p.saved == "" {
		return []byte(stdout)
	}
	saved, err := os.ReadFile(filepath.Join(dir, p.saved))
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

// checkFails checks that a run says what is wrong, in each of the words, by
// its status too, and leaves no file that looks right.
func (p clientProgram) checkFails(t *testing.T, w *clientWire, words ...string) {
	t.Helper()
	dir := t.TempDir()
	stdout, stderr, code := p.run(t, dir, w)
	if code == 0 || stdout != "" {
		t.Errorf("status %d, and on its standard output %q", code, stdout)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			t.Errorf("it doesn't say %q, but\n%s", word, stderr)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.csv*")); err != nil || slices.ContainsFunc(left, func(s string) bool { return !strings.HasSuffix(s, ".part") }) {
		t.Errorf("it leaves %v (%v)", left, err)
	}
}

func checkPandas(t *testing.T, p readerPrograms, dir string) {
	want := shared.psql(t, `SELECT format(E'rows: %s\nnames that are empty, and NULL: %s %s\nwithout date, tier and value: %s %s %s\nlatest: %s\nvalue of all: %s', count(*),
		count(*) FILTER (WHERE name = ''), count(*) FILTER (WHERE name = 'NULL'), count(*) FILTER (WHERE signup_date IS NULL), count(*) FILTER (WHERE subscription_tier IS NULL),
		count(*) FILTER (WHERE lifetime_value IS NULL), to_char(max(signup_date), 'YYYY-MM-DD"T"HH24:MI:SS') || coalesce(nullif(to_char(max(signup_date), '.US'), '.000000'), '') || '+00:00', sum(lifetime_value)) FROM users`)
	out, stderr, code := runIn(t, dir, []string{p.python, "users_pandas.py"})
	if code != 0 {
		t.Fatalf("status %d\n%s", code, stderr)
	}
	if diff := cmp.Diff(string(want), out); diff != "" {
		t.Errorf("what pandas finds (-psql +pandas):\n%s", diff)
	}
}

// checkDuckDBTable also asks the table and the Parquet file for all that
// DuckDB and Postgres write alike.
func checkDuckDBTable(t *testing.T, p readerPrograms, dir string) {
	out, stderr, code := runIn(t, dir, []string{p.python, "users_duckdb.py"})
	if want := string(shared.psql(t, "SELECT format('%s rows, value of all: %s', count(*), sum(lifetime_value)) FROM users")); code != 0 || out != want {
		t.Fatalf("status %d, prints %q, want %q\n%s", code, out, want, stderr)
	}
	const query = `SELECT count(*), sum(id), sum(length(name)), sum(length(email)), count(*) FILTER (WHERE name = ''), count(*) FILTER (WHERE name = 'NULL'), count(DISTINCT name), count(signup_date),
		%s, count(DISTINCT country_code), count(subscription_tier), count(lifetime_value), sum(lifetime_value) FROM %s`
	want := shared.psql(t, fmt.Sprintf(query, "sum((extract(epoch FROM signup_date) * 1000000)::bigint)", "users"))
	for _, from := range []string{"users", "'users.parquet'"} {
		script := fmt.Sprintf(`import duckdb; print(*duckdb.connect("users.duckdb").sql("""`+query+`""").fetchone(), sep="|")`, "sum(epoch_us(signup_date))", from)
		out, stderr, code := runIn(t, dir, []string{p.python, "-c", script})
		if code != 0 || out != string(want) {
			t.Errorf("%s: status %d, finds\n%s, psql\n%s\n%s", from, code, out, want, stderr)
		}
	}
}
