package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"csvexport/infra/internal/process"
	"csvexport/infra/internal/stack"
)

// newcomersURL is the database in the README's lines.
const newcomersURL = "postgres://me:secret@db.example:5432/shop"

// TestNewcomer follows the lines of the README's shell block, as somebody would
// who has a database and this project: an entry for a table of one's own, the
// stack, and one curl. Its file of datasets and its stack are its own.
func TestNewcomer(t *testing.T) {
	address := newcomersDatabase(t)
	name := stackName("newcomer")
	clean(t, name)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	datasets := filepath.Join(t.TempDir(), "datasets.yaml")
	sh := startShell(t, t.TempDir(), "http://127.0.0.1:8080")
	sh.run(t, fmt.Sprintf("export STACK=%s PORT=0 DATASETS='%s'; make() { command make --no-print-directory -C '%s' \"$@\"; }", name, datasets, root))
	var served *local
	var printed string
	for _, e := range examples(string(text), "shell") {
		command := strings.ReplaceAll(e.command, newcomersURL, address)
		if strings.Contains(command, "make up") {
			served = makeUp(t, name, "STACK="+name, "PORT=0", "DATASETS="+datasets, "DATABASE_URL="+address)
			sh.baseURL = served.BaseURL
			continue
		}
		printed = sh.run(t, command)
		if !wildcard(e.output).MatchString(printed) {
			t.Fatalf("README.md:%d: %s\nprints\n%s\nbut the README says\n%s", e.line, e.command, printed, e.output)
		}
	}
	id := regexp.MustCompile(`"exportId":"([^"]+)"`).FindStringSubmatch(printed)
	if served == nil || id == nil {
		t.Fatalf("the README's shell block doesn't lead to an export; it last prints\n%s", printed)
	}
	done := served.follow(t, id[1], time.Minute, nil)
	if done.Status != "completed" || done.Dataset != "invoices" || done.Progress.ProcessedRows != 300 {
		t.Fatalf("status %+v", done)
	}
	want := served.psql(t, "COPY (SELECT * FROM invoices ORDER BY number) TO STDOUT (FORMAT csv, HEADER)")
	if got := served.download(t, done.ExportID); string(got) != string(want) {
		t.Errorf("the file holds\n%s\npsql says\n%s", got, want)
	}
	if out, code := runLocal(t, nil, "down", "-root", root, "-stack", name); code != 0 {
		t.Errorf("down: status %d\n%s", code, out)
	}
}

// newcomersDatabase makes a database with one table, and returns its URL.
func newcomersDatabase(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("newcomer_%d", time.Now().UnixNano())
	shared.psql(t, "CREATE DATABASE "+name) // it goes with the shared stack
	u, err := url.Parse(shared.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	db := local{State: stack.State{PSQL: shared.PSQL, DatabaseURL: u.String()}}
	db.psql(t, `CREATE TABLE invoices (number int PRIMARY KEY, customer text NOT NULL, due date, total numeric(10, 2) NOT NULL, lines jsonb);
		CREATE INDEX ON invoices (due);
		INSERT INTO invoices SELECT i, 'Customer "' || i % 7 || '"', date '2025-01-01' + i, i * 1.5, jsonb_build_array(i, i + 1) FROM generate_series(1, 300) i`)
	return u.String()
}

// makeUp runs "make up" until the test's end and waits until the stack serves.
func makeUp(t *testing.T, name string, settings ...string) *local {
	t.Helper()
	l := &local{output: &output{}, rows: -1}
	var err error
	l.process, err = process.Start(process.Spec{
		Path: "make", Args: []string{"--no-print-directory", "-C", root, "up"},
		Env: append(environment(), settings...), Stdout: l.output, Stderr: l.output,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.process.Kill)
	eventually(t, startTimeout, "make up serves", func() bool {
		select {
		case <-l.process.Done():
			t.Fatalf("make up ended by itself:\n%s", l.output)
		default:
		}
		l.State, err = stack.Find(root, name)
		return err == nil
	})
	return l
}
