package source

import (
	"io"

	"csvexport/internal/export"
)

// optionsSQL is what stands in COPY's parentheses: what f has from COPY. Only
// what differs from COPY's defaults is said. The header comes with it only if
// header is set, as for a file's first range.
func optionsSQL(f export.Format, header bool) string {
	d := export.DefaultFormat()
	options := "FORMAT csv"
	if header {
		options += ", HEADER"
	}
	if f.Delimiter != d.Delimiter {
		options += ", DELIMITER " + literal(f.Delimiter)
	}
	if f.Quote != d.Quote {
		options += ", QUOTE " + literal(f.Quote) // and ESCAPE, which is the same unless it is said
	}
	if f.Null != d.Null {
		options += ", NULL " + literal(f.Null)
	}
	return options
}

// guardSQL selects a column with the formula guard: an apostrophe before a
// value that a spreadsheet would take for a formula. The column must be of a
// string type (pg_type.typcategory S). Any other value comes out as it is:
//
//   - concat writes a value by its type's output function, so that char(n)
//     keeps its padding, which a cast to text strips;
//   - concat takes NULL for an empty text, so NULL doesn't get there;
//   - COLLATE "C" compares bytes: a column's own collation may take = for -.
//     The characters are all below A: that comparison spares most values the
//     dearer one.
//
// Its name is as, which may be a column's, so an ORDER BY of that name alone
// would sort by what is written: say it with the table's name.
func guardSQL(column, as string) string {
	name := "t." + columnSQL(column)
	text := name + "::text"
	return "CASE WHEN " + name + " IS NOT NULL THEN concat(CASE WHEN " +
		text + ` COLLATE "C" < 'A' AND left(` + text + `, 1) COLLATE "C" IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' END, ` +
		name + ") END AS " + columnSQL(as)
}

// bom is what the file begins with: nothing, or UTF-8's byte order mark.
func bom(f export.Format) []byte {
	if !f.BOM {
		return nil
	}
	return []byte("\ufeff")
}

// newLines returns a writer that ends rows as f does. Each Write to it is one
// row with the LF that COPY ends it by, and gives one Write to w, which must
// not keep the slice.
func newLines(w io.Writer, f export.Format) io.Writer {
	if f.LineEnding != export.CRLF {
		return w
	}
	return &crlfWriter{w: w}
}

// maxKeptRow bounds what a crlfWriter keeps between rows, in bytes.
const maxKeptRow = 1 << 20

type crlfWriter struct {
	w   io.Writer
	row []byte // the last row's memory
}

func (c *crlfWriter) Write(p []byte) (int, error) {
	row := append(append(c.row[:0], p[:len(p)-1]...), "\r\n"...)
	if c.row = row; cap(row) > maxKeptRow {
		c.row = nil
	}
	if _, err := c.w.Write(row); err != nil {
		return 0, err
	}
	return len(p), nil
}
