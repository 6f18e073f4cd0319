package export

// Format is how a file writes its rows. What Postgres's COPY has an option for
// is COPY's own; see docs/design.md.
type Format struct {
	Delimiter string `json:"delimiter"` // between two values: one ASCII character
	Quote     string `json:"quote"`     // around a value that needs it, and doubled in one: one ASCII character
	Null      string `json:"null"`      // how NULL is written; never in quotes, as an equal text is
	Header    bool   `json:"header"`    // the columns' names come first
	// BOM says that the file begins with UTF-8's byte order mark.
	BOM bool `json:"bom"`
	// LineEnding ends each row. Line breaks within values stay as they are.
	LineEnding LineEnding `json:"lineEnding"`
	// FormulaGuard puts an apostrophe before a text that a spreadsheet would
	// take for a formula: one that begins with = + - @, tab or CR.
	FormulaGuard bool        `json:"formulaGuard"`
	Compression  Compression `json:"compression"`
}

// LineEnding is what ends a row.
type LineEnding string

// The line endings.
const (
	LF   LineEnding = "lf"
	CRLF LineEnding = "crlf"
)

// LineEndings are all of them.
var LineEndings = []LineEnding{LF, CRLF}

// Compression is how a file is packed.
type Compression string

// The compressions.
const (
	Gzip          Compression = "gzip" // one gzip member
	NoCompression Compression = "none"
)

// Compressions are all of them.
var Compressions = []Compression{Gzip, NoCompression}

// DefaultFormat is the format of a request that asks for none: COPY's
// defaults with a header, in gzip.
func DefaultFormat() Format {
	return Format{Delimiter: ",", Quote: `"`, Header: true, LineEnding: LF, Compression: Gzip}
}

// ContentType is the media type of a file in this format.
func (f Format) ContentType() string {
	if f.Compression == NoCompression {
		return "text/csv"
	}
	return "application/gzip"
}

// Extension is what the names and keys of files in this format end in.
func (f Format) Extension() string {
	if f.Compression == NoCompression {
		return ".csv"
	}
	return ".csv.gz"
}

// FormatOrDefault is the format of the spec's file.
func (s Spec) FormatOrDefault() Format {
	if s.Format == nil {
		return DefaultFormat()
	}
	return *s.Format
}
