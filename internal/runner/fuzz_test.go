package runner

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// Random tables are exported in random formats over several connections, and
// each file is compared with what psql's COPY makes of SQL that this test
// writes by itself. What COPY doesn't have (byte order mark, CRLF, formula
// guard) the test adds by its own means.
//
// It runs some fixed cases, or new ones for the time in FUZZTIME (`make fuzz`),
// or the one of FUZZSEED.
//
// Go's own fuzzing isn't used: it compiles all that the test is linked with
// anew, minutes of it, for the sake of coverage, and what could go wrong here
// is decided inside Postgres, which it doesn't see.
func TestCopy_random(t *testing.T) {
	next := fixedCases(0, 60)
	if seed := os.Getenv("FUZZSEED"); seed != "" {
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		next = fixedCases(n, 1)
	} else if length := os.Getenv("FUZZTIME"); length != "" {
		d, err := time.ParseDuration(length)
		if err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(d)
		next = func() (uint64, bool) { return rand.Uint64(), time.Now().Before(end) }
	}
	var cases, rows atomic.Int64
	t.Run("workers", func(t *testing.T) {
		for range 2 * runtime.GOMAXPROCS(0) { // Postgres works too, and each waits for the other
			t.Run("", func(t *testing.T) {
				t.Parallel()
				url := servertest.Database(t)
				src, err := source.New(url)
				if err != nil {
					t.Fatal(err)
				}
				servertest.PSQL(t, url, fuzzTypes)
				for seed, more := next(); more && !t.Failed(); seed, more = next() {
					rows.Add(newFuzzCase(seed).check(t, url, src))
					cases.Add(1)
				}
			})
		}
	})
	t.Logf("%d cases with %d rows in their files", cases.Load(), rows.Load())
}

// fixedCases returns n seeds, each once.
func fixedCases(first, n uint64) func() (uint64, bool) {
	var begun atomic.Uint64
	return func() (uint64, bool) {
		i := begun.Add(1) - 1
		return first + i, i < n
	}
}

// check makes the table and compares its file with psql's.
func (c fuzzCase) check(t *testing.T, url string, src *source.Source) (rows int64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("again: make fuzz FUZZSEED=%d\n%s", c.seed, c)
		}
	}()
	want, bounds := c.expected(t, url)
	got, rows := c.copied(t, src, bounds)
	if got != want.file {
		t.Errorf("the file differs from psql's: %s", firstDifference(got, want.file))
	}
	if rows != want.rows {
		t.Errorf("%d rows, want %d", rows, want.rows)
	}
	return rows
}

// expectation is what psql makes of a case.
type expectation struct {
	file string
	rows int64
}

// expected makes the case's table. It also returns keys, in their order, that
// the ranges may be bounded by.
func (c fuzzCase) expected(t *testing.T, url string) (want expectation, bounds [][]string) {
	t.Helper()
	out := servertest.PSQL(t, url, c.tableSQL()+c.factsSQL()+c.copySQL())
	first, file, _ := strings.Cut(out, "\n")
	var facts struct {
		Rows   int64
		Bounds [][]string
	}
	if err := json.Unmarshal([]byte(first), &facts); err != nil {
		t.Fatalf("%v in %q", err, first)
	}
	if c.format.LineEnding == export.CRLF {
		file = withCRLF(file, c.format.Quote[0])
	}
	if c.format.BOM {
		file = "\xef\xbb\xbf" + file
	}
	return expectation{file: file, rows: facts.Rows}, facts.Bounds
}

// withCRLF ends the rows of a CSV by CRLF and leaves line breaks inside quotes
// as they are. A doubled quote leaves the quotes and enters them again.
func withCRLF(csv string, quote byte) string {
	var b strings.Builder
	inside := false
	for i := range len(csv) {
		if csv[i] == quote {
			inside = !inside
		}
		if csv[i] == '\n' && !inside {
			b.WriteByte('\r')
		}
		b.WriteByte(csv[i])
	}
	return b.String()
}

// copied makes the file as an export does, in ranges of the case's own.
func (c fuzzCase) copied(t *testing.T, src *source.Source, bounds [][]string) (file string, rows int64) {
	t.Helper()
	ctx := t.Context()
	sel := c.selection()
	snap, reader, end := opened(t, src, sel)
	defer end()
	plan, err := reader.Plan(ctx, sel)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	if ranges := c.ranges(bounds); ranges != nil {
		plan.Ranges = ranges
	}
	var out bytes.Buffer
	enc := encodingOf(c.format.Compression)
	out.Write(enc.header())
	copier := &copier{plan: plan, encoding: enc, sequencer: newSequencer(&out), progress: &progress{}, results: make([]rangeResult, len(plan.Ranges))}
	if err := copier.run(ctx, slog.New(slog.DiscardHandler), snap, readers{first: reader, wanted: c.connections}); err != nil {
		t.Fatalf("copy: %v", err)
	}
	var total rangeResult
	for _, r := range copier.results {
		total = total.then(r)
	}
	out.Write(enc.trailer(total.Sum))
	if n := copier.progress.rows.Load(); n != total.Rows {
		t.Errorf("%d rows passed, %d copied", n, total.Rows)
	}
	return c.plain(t, out.Bytes()), total.Rows
}

// opened takes a snapshot with one reader on it. end closes both.
func opened(t *testing.T, src *source.Source, sel dataset.Selection) (snap *source.Snapshot, reader *source.Reader, end func()) {
	t.Helper()
	ctx := t.Context()
	snap, err := src.Snapshot(ctx, uuid.NewString(), 1, sel)
	if err != nil {
		t.Fatal(err)
	}
	if reader, err = snap.Reader(ctx); err != nil {
		snap.Close(ctx)
		t.Fatal(err)
	}
	return snap, reader, func() {
		reader.Close(ctx)
		snap.Close(ctx)
	}
}

// plain is the file's content; a packed one must be a single gzip member.
func (c fuzzCase) plain(t *testing.T, file []byte) string {
	t.Helper()
	if c.format.Compression == export.NoCompression {
		return string(file)
	}
	in := bytes.NewReader(file)
	r, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	plain, err := io.ReadAll(r)
	if err != nil || in.Len() > 0 {
		t.Fatalf("not one gzip member: %v, %d bytes behind it", err, in.Len())
	}
	return string(plain)
}

// ranges divides the case's table anew, whatever its size: by some of the
// keys, or by pages. It is nil for the one range that the plan has.
func (c fuzzCase) ranges(bounds [][]string) []source.Range {
	var ranges []source.Range
	switch {
	case len(c.key) > 0 && len(bounds) > 0:
		var after []string
		for i, b := range bounds {
			ranges = append(ranges, source.Range{Index: i, After: after, UpTo: b})
			after = b
		}
		return append(ranges, source.Range{Index: len(bounds), After: after})
	case len(c.key) == 0 && len(c.pages) > 0:
		from := int64(0)
		for i, to := range append(c.pages, 0) {
			ranges = append(ranges, source.Range{Index: i, Blocks: &source.Blocks{Relation: c.relation(), From: from, To: to}})
			from = to
		}
	}
	return ranges
}

func (c fuzzCase) relation() dataset.Relation {
	return dataset.Relation{Schema: "public", Name: "t"}
}

func (c fuzzCase) selection() dataset.Selection {
	sel := dataset.Selection{Relation: c.relation(), Key: c.key, Format: c.format}
	for _, col := range c.columns {
		sel.Columns = append(sel.Columns, dataset.Column{Name: col.name})
	}
	if c.filter != nil {
		sel.Predicates = []dataset.Predicate{{Column: c.filter.column.name, Operator: c.filter.operator, Values: c.filter.values}}
	}
	return sel
}

// firstDifference shows the row where two files part.
func firstDifference(got, want string) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	at = max(at-40, 0)
	b, _ := json.Marshal(map[string]string{"got": got[min(at, len(got)):min(at+160, len(got))], "want": want[min(at, len(want)):min(at+160, len(want))]})
	return string(b)
}

// The test's own parts, on what they must be.
func TestFuzzCase(t *testing.T) {
	if got, want := withCRLF("a,'b\n''c\n',\n\n'\r\n'\n", '\''), "a,'b\n''c\n',\r\n\r\n'\r\n'\r\n"; got != want {
		t.Errorf("CRLF: %q, want %q", got, want)
	}
	kinds, rows, many := map[string]bool{}, 0, 0
	for seed := range uint64(2000) {
		c := newFuzzCase(seed)
		for _, col := range c.columns {
			kinds[col.kind.name] = true
		}
		rows = max(rows, c.rows)
		if c.filter != nil {
			many++
		}
		if f := c.format; f.Quote == f.Delimiter || strings.ContainsAny(f.Null, f.Quote+f.Delimiter) {
			t.Errorf("seed %d: format %+v", seed, f)
		}
	}
	if len(kinds) != len(fuzzKinds) || rows < 3000 || many < 500 {
		t.Errorf("2000 cases have %d of %d types, at most %d rows, and %d filters", len(kinds), len(fuzzKinds), rows, many)
	}
	again := newFuzzCase(7).String()
	if first := newFuzzCase(7).String(); again != first {
		t.Errorf("the same seed makes %s and %s", first, again)
	}
}
