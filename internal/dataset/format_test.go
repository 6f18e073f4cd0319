package dataset_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// format is the default with a change.
func format(change func(*export.Format)) *export.Format {
	f := export.DefaultFormat()
	change(&f)
	return &f
}

func plainFormat() *export.Format {
	return format(func(f *export.Format) { f.Compression = export.NoCompression })
}

func TestCatalog_Spec_format(t *testing.T) {
	for _, test := range []struct {
		name  string
		given *export.Format
		want  *export.Format
	}{
		{"none", nil, nil},
		{"the default", format(func(*export.Format) {}), nil},
		{"a delimiter", format(func(f *export.Format) { f.Delimiter = ";" }), format(func(f *export.Format) { f.Delimiter = ";" })},
		{
			"everything", &export.Format{Delimiter: "\t", Quote: "'", Null: strings.Repeat("ü", 20), BOM: true, LineEnding: export.CRLF, FormulaGuard: true, Compression: export.NoCompression},
			&export.Format{Delimiter: "\t", Quote: "'", Null: strings.Repeat("ü", 20), BOM: true, LineEnding: export.CRLF, FormulaGuard: true, Compression: export.NoCompression},
		},
		{"quote and delimiter swapped", format(func(f *export.Format) { f.Delimiter, f.Quote = `"`, "," }), format(func(f *export.Format) { f.Delimiter, f.Quote = `"`, "," })},
	} {
		t.Run(test.name, func(t *testing.T) {
			catalog := dataset.Default()
			spec, problems := specOf(dataset.Request{Dataset: "users", Format: test.given})
			if diff := cmp.Diff(test.want, spec.Format); diff != "" || len(problems) > 0 {
				t.Errorf("format (-want +got):\n%s%v", diff, problems)
			}
			if test.given != nil && spec.Format == test.given {
				t.Error("the spec's format is the request's own")
			}
			sel, err := catalog.Resolve(spec, users().Fingerprint())
			if diff := cmp.Diff(spec.FormatOrDefault(), sel.Format); err != nil || diff != "" {
				t.Errorf("the selection's format (-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestCatalog_Spec_refusesFormats(t *testing.T) {
	const (
		oneCharacter = "must be one ASCII character that is no line break"
		nullText     = "must be a text of at most 20 characters without a line break"
		nullContains = "must contain neither the delimiter nor the quote"
	)
	problem := func(field, message string) []export.FieldError {
		return []export.FieldError{{Field: "format." + field, Message: message}}
	}
	for _, test := range []struct {
		name   string
		change func(*export.Format)
		want   []export.FieldError
	}{
		{"no delimiter", func(f *export.Format) { f.Delimiter = "" }, problem("delimiter", oneCharacter)},
		{"two delimiters", func(f *export.Format) { f.Delimiter = "||" }, problem("delimiter", oneCharacter)},
		{"delimiter of two bytes", func(f *export.Format) { f.Delimiter = "§" }, problem("delimiter", oneCharacter)},
		{"delimiter of one byte that is no character", func(f *export.Format) { f.Delimiter = "\xa7" }, problem("delimiter", oneCharacter)},
		{"no quote", func(f *export.Format) { f.Quote = "" }, problem("quote", oneCharacter)},
		{"quote of three bytes", func(f *export.Format) { f.Quote = "“" }, problem("quote", oneCharacter)},
		{"quote is the delimiter", func(f *export.Format) { f.Quote = "," }, problem("quote", "is the same as the delimiter; choose another of the two")},
		{"null with the delimiter", func(f *export.Format) { f.Null = "a,b" }, problem("null", nullContains)},
		{"null with the quote", func(f *export.Format) { f.Null, f.Quote = "it's", "'" }, problem("null", nullContains)},
		{"null with a line break", func(f *export.Format) { f.Null = "a\n" }, problem("null", nullText)},
		{"null with a zero byte", func(f *export.Format) { f.Null = "\x00" }, problem("null", nullText)},
		{"null that is no text", func(f *export.Format) { f.Null = "\xff" }, problem("null", nullText)},
		{"null of 21 characters", func(f *export.Format) { f.Null = strings.Repeat("x", 21) }, problem("null", nullText)},
		{"line ending", func(f *export.Format) { f.LineEnding = "\r\n" }, problem("lineEnding", `must be "lf" or "crlf"`)},
		{"compression", func(f *export.Format) { f.Compression = "zip" }, problem("compression", `must be "gzip" or "none"`)},
		{
			"everything", func(f *export.Format) { *f = export.Format{Null: "\n"} },
			[]export.FieldError{
				{Field: "format.delimiter", Message: oneCharacter},
				{Field: "format.quote", Message: oneCharacter},
				{Field: "format.null", Message: nullText},
				{Field: "format.lineEnding", Message: `must be "lf" or "crlf"`},
				{Field: "format.compression", Message: `must be "gzip" or "none"`},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, problems := specOf(dataset.Request{Dataset: "users", Format: format(test.change)})
			if diff := cmp.Diff(test.want, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCatalog_Spec_fileName(t *testing.T) {
	zip := format(func(f *export.Format) { f.Compression = "zip" })
	const (
		length     = "1 to 120 characters"
		characters = "control character"
		ends       = "begin or end"
		packed     = `for .csv, choose "none" as format.compression`
		unpacked   = `must end in .csv, because format.compression is "none"`
	)
	for _, test := range []struct {
		name   string
		format *export.Format
		says   string // of the problem; empty for none
	}{
		{"customers.csv.gz", nil, ""},
		{"customers.csv", plainFormat(), ""},
		{"a.csv.csv", plainFormat(), ""},
		{"Kunden – März 2026, 100% (neu); 'a' #1 ü𝔘.csv.gz", nil, ""},
		{"نام‌ها.csv.gz", nil, ""}, // with a joiner, which Persian needs
		{"x.csv.gz", nil, ""},
		{strings.Repeat("x", 113) + ".csv.gz", nil, ""},
		{strings.Repeat("ü", 113) + ".csv.gz", nil, ""},
		{"", nil, length},
		{strings.Repeat("x", 114) + ".csv.gz", nil, length},
		{strings.Repeat("𝔘", 63) + ".csv.gz", nil, "at most 255 bytes"},
		{"a/b.csv.gz", nil, characters},
		{`a\b.csv.gz`, nil, characters},
		{"c:a.csv.gz", nil, characters},
		{"a*.csv.gz", nil, characters},
		{"a?.csv.gz", nil, characters},
		{`"a".csv.gz`, nil, characters},
		{"<a.csv.gz", nil, characters},
		{"a>.csv.gz", nil, characters},
		{"a|b.csv.gz", nil, characters},
		{"a\r\nX-Header: b.csv.gz", nil, characters},
		{"a\x00.csv.gz", nil, characters},
		{"a\x7f.csv.gz", nil, characters},
		{"a\u0085.csv.gz", nil, characters},
		{"a\u2028b.csv.gz", nil, characters},
		{"a\u202excod.csv.gz", nil, characters}, // shows the rest backwards
		{"a\xff.csv.gz", nil, characters},
		{" a.csv.gz", nil, ends},
		{"a.csv.gz ", nil, ends},
		{"a.csv.gz.", nil, ends},
		{".csv.gz", nil, ends},
		{"..csv", plainFormat(), ends},
		{"...", nil, ends},
		{"a.csv", nil, packed},
		{"a", nil, packed},
		{"a.CSV.GZ", nil, packed},
		{"a.csv.gzip", nil, packed},
		{"a.csv.gz", plainFormat(), unpacked},
		{"a.txt", plainFormat(), unpacked},
		{"a.csv", zip, "gzip"}, // only the compression is wrong
	} {
		spec, problems := specOf(dataset.Request{Dataset: "users", FileName: &test.name, Format: test.format})
		switch {
		case test.says == "" && (len(problems) > 0 || spec.FileName != test.name):
			t.Errorf("%q: problems %v, the spec has %q", test.name, problems, spec.FileName)
		case test.says != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, test.says)):
			t.Errorf("%q: problems %v, want one that says %q", test.name, problems, test.says)
		case test.says != "" && test.format != zip && problems[0].Field != "fileName":
			t.Errorf("%q: problem of %s", test.name, problems[0].Field)
		}
	}
}
