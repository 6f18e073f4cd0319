package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// connection opens a session as the exports' are.
func connection(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	s, err := New(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.connect(t.Context(), "csvexport test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(context.Background(), conn) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// copyOut returns the header, if the options ask for it, and the rows.
func copyOut(t *testing.T, conn *pgx.Conn, query, options string) []string {
	t.Helper()
	var out writes
	if _, err := conn.PgConn().CopyTo(t.Context(), &out, "COPY ("+query+") TO STDOUT ("+options+")"); err != nil {
		t.Fatalf("COPY (%s) (%s): %v", query, options, err)
	}
	return out.all
}

// writes keeps what each Write got, and answers with err.
type writes struct {
	all []string
	err error
}

func (w *writes) Write(p []byte) (int, error) {
	w.all = append(w.all, string(p))
	return len(p), w.err
}

func TestOptionsSQL(t *testing.T) {
	d := export.DefaultFormat()
	with := func(change func(*export.Format)) export.Format {
		f := d
		change(&f)
		return f
	}
	for _, test := range []struct {
		format export.Format
		header bool
		want   string
	}{
		{d, true, "FORMAT csv, HEADER"},
		{d, false, "FORMAT csv"},
		{with(func(f *export.Format) { f.Delimiter, f.Quote, f.Null = "'", "\t", `it's \N` }), true, "FORMAT csv, HEADER, DELIMITER '''', QUOTE '\t', NULL 'it''s \\N'"},
		{with(func(f *export.Format) {
			f.BOM, f.LineEnding, f.FormulaGuard, f.Compression = true, export.CRLF, true, export.NoCompression
		}), false, "FORMAT csv"},
	} {
		if got := optionsSQL(test.format, test.header); got != test.want {
			t.Errorf("%+v: %s, want %s", test.format, got, test.want)
		}
	}
}

// Every ASCII character as delimiter and as quote: what a request may ask for
// is what COPY takes, but for line breaks as the quote, and what COPY then
// writes it reads back.
func TestOptionsSQL_everyCharacter(t *testing.T) {
	url := servertest.Database(t)
	conn := connection(t, url)
	execute(t, conn, `CREATE TEMP TABLE written AS SELECT * FROM (VALUES
		(1, 'plain', -1.5, timestamptz '2024-01-02 03:04:05.6+00', true), (2, '', 'NaN', 'infinity', false), (3, NULL, NULL, NULL, NULL),
		(4, (SELECT string_agg(chr(i), '' ORDER BY i) FROM generate_series(1, 300) i), 1e20, 'epoch', true),
		(5, '\.', 0, '4713-01-01 BC', NULL), (6, E'"''\r\n', 1, '2024-01-02', false), (7, ' a ', 1, now(), true)) v (i, s, n, at, b);
		CREATE TEMP TABLE readback (LIKE written)`)
	refused := map[string][]byte{}
	for c := range byte(128) {
		for option, member := range map[string]func(*export.Format) *string{
			"delimiter": func(f *export.Format) *string { return &f.Delimiter },
			"quote":     func(f *export.Format) *string { return &f.Quote },
		} {
			f := export.DefaultFormat()
			*member(&f) = string(rune(c))
			_, problem := dataset.Default().Spec(dataset.Request{Dataset: "users", Format: &f}, dataset.Access{})
			if problem != nil {
				refused[option] = append(refused[option], c)
			}
			var out bytes.Buffer
			_, err := conn.PgConn().CopyTo(t.Context(), &out, "COPY written TO STDOUT ("+optionsSQL(f, false)+")")
			breaks := option == "quote" && (c == '\r' || c == '\n')
			if (err != nil || breaks) != (problem != nil) {
				t.Errorf("%s %q: COPY says %v, the request's check %v", option, c, err, problem)
			}
			if problem != nil {
				continue
			}
			execute(t, conn, "TRUNCATE readback")
			if _, err := conn.PgConn().CopyFrom(t.Context(), &out, "COPY readback FROM STDIN ("+optionsSQL(f, false)+")"); err != nil {
				t.Errorf("%s %q: COPY doesn't read what it wrote: %v", option, c, err)
			}
			var others int
			err = conn.QueryRow(t.Context(), "SELECT count(*) FROM written w FULL JOIN readback r USING (i) WHERE w IS DISTINCT FROM r").Scan(&others)
			if err != nil || others > 0 {
				t.Errorf("%s %q: COPY read %d rows otherwise than it wrote them (%v)", option, c, others, err)
			}
		}
	}
	if diff := cmp.Diff(map[string][]byte{"delimiter": []byte("\x00\n\r\""), "quote": []byte("\x00\n\r,")}, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// What is said of the text for NULL is what COPY says.
func TestOptionsSQL_null(t *testing.T) {
	conn := connection(t, servertest.Database(t))
	for _, test := range []struct {
		null string
		ok   bool
	}{
		{"NULL", true},
		{`\N`, true},
		{"it's", true},
		{"∅", true},
		{" \t\x01", true},
		{"a,b", false},
		{`"`, false},
		{"a\nb", false},
		{"\r", false},
	} {
		f := export.DefaultFormat()
		f.Null = test.null
		_, problem := dataset.Default().Spec(dataset.Request{Dataset: "users", Format: &f}, dataset.Access{})
		var out bytes.Buffer
		_, err := conn.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT 1, NULL, '', "+literal(test.null)+") TO STDOUT ("+optionsSQL(f, false)+")")
		if (err == nil) != test.ok || (problem == nil) != test.ok {
			t.Errorf("NULL %q: COPY says %v, the request's check %v", test.null, err, problem)
		}
		if want := "1," + test.null + ",,\"" + test.null + "\"\n"; test.ok && out.String() != want {
			t.Errorf("NULL %q: COPY writes %q, want %q", test.null, out.String(), want)
		}
	}
}

// guarded are values and what the guard adds to them.
var guarded = []struct{ value, prefix string }{
	{"=1+1", "'"},
	{"+1", "'"},
	{"-1", "'"},
	{"@SUM(A1)", "'"},
	{"\ttab", "'"},
	{"\rreturn", "'"},
	{"=", "'"},
	{"--", "'"},
	{"", ""},
	{" =1", ""},
	{"'=1", ""},
	{"\n=1", ""},
	{"1=1", ""},
	{"a-b", ""},
	{"＝1", ""}, // its full width form
	{"é=", ""},
	{"!", ""},
	{",", ""},
	{`"=1"`, ""},
	{"\\", ""},
	{"a  ", ""},
	{"  ", ""},
}

func TestGuardSQL(t *testing.T) {
	conn := connection(t, servertest.Database(t))
	execute(t, conn, `CREATE EXTENSION citext SCHEMA public;
		CREATE DOMAIN public.word AS text; CREATE DOMAIN public.code AS char(12)`)
	columns := []string{
		"text", "varchar", "varchar(12)", "char(12)", "bpchar", "name", "public.citext", "public.word", "public.code",
		`text COLLATE "C"`, "char(12) COLLATE ucs_basic",
	}
	if servertest.Version(t) >= 18 {
		columns = append(columns, "text COLLATE pg_unicode_fast")
	}
	for _, column := range columns {
		t.Run(column, func(t *testing.T) {
			execute(t, conn, `DROP TABLE IF EXISTS public.t; CREATE TABLE public.t (i int, "a ""b" `+column+`); INSERT INTO public.t VALUES (-1, NULL)`)
			for i, g := range guarded {
				execute(t, conn, fmt.Sprintf("INSERT INTO public.t VALUES (%d, %s)", i, literal(g.value)))
			}
			rows := func(expression string) []string {
				return copyOut(t, conn, "SELECT "+expression+" FROM public.t ORDER BY i", `FORMAT csv, HEADER, NULL '~', FORCE_QUOTE *`)
			}
			want := rows(`"a ""b"`)
			for i, g := range guarded {
				row := &want[i+2] // below the header and NULL
				*row = `"` + g.prefix + strings.TrimPrefix(*row, `"`)
			}
			if diff := cmp.Diff(want, rows(guardSQL(`a "b`, `a "b`))); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// COPY's options see the guarded value: it is quoted where it must be.
func TestGuardSQL_inCOPY(t *testing.T) {
	conn := connection(t, servertest.Database(t))
	f := export.DefaultFormat()
	f.Quote, f.Null = "'", "NULL"
	got := copyOut(t, conn, "SELECT "+guardSQL("x", "x")+` FROM (VALUES (1, '=1'), (2, NULL), (3, 'NULL'), (4, 'a')) t (i, x) ORDER BY i`, optionsSQL(f, true))
	if diff := cmp.Diff([]string{"x\n", "'''=1'\n", "NULL\n", "'NULL'\n", "a\n"}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestNewLines(t *testing.T) {
	f := export.DefaultFormat()
	if w := newLines(io.Discard, f); w != io.Discard {
		t.Error("there is a writer between for LF")
	}
	f.LineEnding = export.CRLF
	got := &writes{}
	w := newLines(got, f)
	row := append(make([]byte, 0, 64), "a,\"b\nc\r\nd\"\n"...) // as a piece of a larger buffer
	for _, p := range [][]byte{row, []byte("\n"), []byte("\r\n")} {
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Errorf("Write of %q: %d, %v", p, n, err)
		}
	}
	if diff := cmp.Diff([]string{"a,\"b\nc\r\nd\"\r\n", "\r\n", "\r\r\n"}, got.all); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if string(row) != "a,\"b\nc\r\nd\"\n" {
		t.Errorf("the caller's row is now %q", row)
	}
	got.err = errors.New("full")
	if _, err := w.Write(row); !errors.Is(err, got.err) {
		t.Errorf("error %v, want %v", err, got.err)
	}
}

func TestNewLines_memory(t *testing.T) {
	f := export.DefaultFormat()
	f.LineEnding = export.CRLF
	w := newLines(io.Discard, f)
	row := slices.Concat(bytes.Repeat([]byte("x"), 20_000), []byte("\n"))
	write := func(p []byte) {
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { write(row) }); n > 0 {
		t.Errorf("%v allocations for a row, want none", n)
	}
	write(make([]byte, 2*maxKeptRow))
	if kept := cap(w.(*crlfWriter).row); kept > maxKeptRow {
		t.Errorf("%d bytes are kept after a wide row, want at most %d", kept, maxKeptRow)
	}
}

func TestBOM(t *testing.T) {
	f := export.DefaultFormat()
	if got := bom(f); len(got) > 0 {
		t.Errorf("%x, want nothing", got)
	}
	f.BOM = true
	if got := bom(f); !bytes.Equal(got, []byte{0xef, 0xbb, 0xbf}) {
		t.Errorf("%x, want UTF-8's byte order mark", got)
	}
}
