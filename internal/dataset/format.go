package dataset

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"csvexport/internal/export"
)

const (
	maxNull          = 20  // characters of the text for NULL
	maxFileName      = 120 // characters
	maxFileNameBytes = 255 // of most file systems
	// maxSplitNameBytes leaves room for what the manifest's name has instead of
	// .csv, which is the longest: .manifest.json.
	maxSplitNameBytes = maxFileNameBytes - 10
)

// normalizeFormat checks a format and returns its normal form: nil for the
// default.
func normalizeFormat(given *export.Format) (*export.Format, []export.FieldError) {
	if given == nil || *given == export.DefaultFormat() {
		return nil, nil
	}
	f := *given
	var problems []export.FieldError
	check := func(ok bool, field, message string) {
		if !ok {
			problems = append(problems, export.FieldError{Field: "format." + field, Message: message})
		}
	}
	check(isSeparator(f.Delimiter), "delimiter", "must be one ASCII character that is no line break")
	check(isSeparator(f.Quote), "quote", "must be one ASCII character that is no line break")
	if len(problems) == 0 {
		check(f.Quote != f.Delimiter, "quote", "is the same as the delimiter; choose another of the two")
		check(!strings.ContainsAny(f.Null, f.Delimiter+f.Quote), "null", "must contain neither the delimiter nor the quote")
	}
	check(isNullText(f.Null), "null", fmt.Sprintf("must be a text of at most %d characters without a line break", maxNull))
	check(slices.Contains(export.LineEndings, f.LineEnding), "lineEnding", `must be "lf" or "crlf"`)
	check(slices.Contains(export.Compressions, f.Compression), "compression", `must be "gzip" or "none"`)
	return &f, problems
}

// isSeparator reports whether COPY takes s as a delimiter or quote. It takes
// one byte in the database's encoding: the same in all of them for ASCII only.
// A line break as the quote it would take too, but nobody could read the file.
func isSeparator(s string) bool {
	return len(s) == 1 && s[0] < utf8.RuneSelf && !strings.ContainsAny(s, "\x00\r\n")
}

// isNullText reports whether COPY takes s as what it writes for NULL, up to a
// length of our own.
func isNullText(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxNull && !strings.ContainsAny(s, "\x00\r\n")
}

// normalizeFileName checks the name of a file in format f, which is nil for
// the default. It returns an empty name for none.
func normalizeFileName(given *string, f *export.Format) (string, []export.FieldError) {
	if given == nil {
		return "", nil
	}
	spec := export.Spec{Format: f, FileName: *given}
	if problem := fileNameProblem(spec.FileName, spec.FormatOrDefault()); problem != "" {
		return "", []export.FieldError{{Field: "fileName", Message: problem}}
	}
	return spec.FileName, nil
}

// fileNameProblem says what is wrong with a file's name: it must be one that
// every system can save, and say what is in the file.
func fileNameProblem(name string, f export.Format) string {
	switch {
	case name == "" || utf8.RuneCountInString(name) > maxFileName || len(name) > maxFileNameBytes:
		return fmt.Sprintf("must have 1 to %d characters, and at most %d bytes in UTF-8", maxFileName, maxFileNameBytes)
	case !utf8.ValidString(name) || strings.ContainsAny(name, `/\:*?"<>|`) || strings.ContainsFunc(name, isHidden):
		return `must have none of / \ : * ? " < > | and no control character`
	case strings.Trim(name, " .") != name:
		return "must not begin or end with a space or a dot"
	case !slices.Contains(export.Compressions, f.Compression):
		return "" // no telling how it must end
	case strings.HasSuffix(name, f.Extension()):
		return ""
	case f.Compression == export.NoCompression:
		return `must end in .csv, because format.compression is "none"`
	default:
		return `must end in .csv.gz, because the file is packed by gzip; for .csv, choose "none" as format.compression`
	}
}

// isHidden reports whether r breaks a name's line, or lets it show in another
// order than it has.
func isHidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
