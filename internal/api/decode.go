package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 16 << 10

// createRequest is the request of POST /exports/csv.
type createRequest struct {
	dataset.Request
	validateOnly bool
}

// decodeCreate reads the request of POST /exports/csv. It returns every
// problem of its form at once; what the values mean is the dataset's to check.
// A request that names no dataset is for defaultDataset.
func decodeCreate(body []byte, defaultDataset string) (createRequest, []export.FieldError, error) {
	fields, err := object(body)
	if err != nil {
		return createRequest{}, nil, err
	}
	request := createRequest{Request: dataset.Request{Dataset: defaultDataset}}
	var problems []export.FieldError
	for i, f := range fields {
		message := ""
		switch {
		case repeated(fields, i):
			message = "is given twice"
		case f.name == "dataset":
			message = decodeInto(f.value, &request.Dataset, "must be a string")
		case f.name == "validateOnly":
			message = decodeInto(f.value, &request.validateOnly, "must be true or false")
		case f.name == "columns":
			request.Columns, message = decodeNames(f.value, "must be a list of one or more column names")
		case f.name == "filters":
			var more []export.FieldError
			request.Filters, more = decodeFilters(f.value)
			problems = append(problems, more...)
		case f.name == "format":
			var more []export.FieldError
			request.Format, more = decodeFormat(f.value)
			problems = append(problems, more...)
		case f.name == "maxRowsPerFile":
			request.MaxRowsPerFile, message = decodeWhole(f.value)
		case f.name == "destination":
			var more []export.FieldError
			request.Destination, more = decodeDestination(f.value)
			problems = append(problems, more...)
		case f.name == "fileName":
			var name string
			if message = decodeInto(f.value, &name, "must be a string"); message == "" {
				request.FileName = &name
			}
		default:
			message = "is not a field of this request"
		}
		if message != "" {
			problems = append(problems, export.FieldError{Field: f.name, Message: message})
		}
	}
	return request, problems, nil
}

// decodeInto decodes a value that must not be null. It returns the message if
// it can't.
func decodeInto(value json.RawMessage, to any, message string) string {
	if json.Unmarshal(value, to) != nil || bytes.Equal(value, []byte("null")) {
		return message
	}
	return ""
}

// decodeWhole decodes a whole number, which JSON may also write as 1e3 or
// 1000.0. It returns the message if it can't.
func decodeWhole(value json.RawMessage) (*int64, string) {
	const message = "must be a whole number"
	var n float64
	if decodeInto(value, &n, message) != "" || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return nil, message
	}
	return new(int64(n)), ""
}

// decodeNames decodes a list of one or more strings. It returns the message if
// it can't.
func decodeNames(value json.RawMessage, message string) ([]string, string) {
	var given []*string // null in a list of strings would be an empty string
	if json.Unmarshal(value, &given) != nil || len(given) == 0 || slices.Contains(given, nil) {
		return nil, message
	}
	names := make([]string, len(given))
	for i, name := range given {
		names[i] = *name
	}
	return names, ""
}

func decodeFilters(value json.RawMessage) ([]dataset.GivenFilter, []export.FieldError) {
	fields, err := object(value)
	if err != nil {
		return nil, []export.FieldError{{Field: "filters", Message: "must be an object"}}
	}
	var filters []dataset.GivenFilter
	var problems []export.FieldError
	for i, f := range fields {
		filter, ok := decodeFilter(f)
		switch {
		case repeated(fields, i):
			problems = append(problems, export.FieldError{Field: "filters." + f.name, Message: "is given twice"})
		case !ok:
			problems = append(problems, export.FieldError{Field: "filters." + f.name, Message: "must be a string, a number, true or false, or a list of those"})
		default:
			filters = append(filters, filter)
		}
	}
	return filters, problems
}

// decodeFilter takes a scalar or a list of scalars; numbers keep their text.
func decodeFilter(f field) (filter dataset.GivenFilter, ok bool) {
	filter.Name = f.name
	d := json.NewDecoder(bytes.NewReader(f.value))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return filter, false
	}
	list, isList := value.([]any)
	if filter.IsList = isList; !isList {
		list = []any{value}
	}
	for _, v := range list {
		switch v := v.(type) {
		case string:
			filter.Values = append(filter.Values, dataset.Value{Text: v})
		case json.Number:
			filter.Values = append(filter.Values, dataset.Value{Text: v.String(), IsNumber: true})
		case bool:
			filter.Values = append(filter.Values, dataset.Value{Text: strconv.FormatBool(v), IsBoolean: true})
		default:
			return filter, false
		}
	}
	return filter, true
}

// decodeFormat takes an object with some of a format's members; the others are
// the default's.
func decodeFormat(value json.RawMessage) (*export.Format, []export.FieldError) {
	fields, err := object(value)
	if err != nil {
		return nil, []export.FieldError{{Field: "format", Message: "must be an object"}}
	}
	format := export.DefaultFormat()
	members := map[string]any{
		"delimiter": &format.Delimiter, "quote": &format.Quote, "null": &format.Null, "header": &format.Header, "bom": &format.BOM,
		"lineEnding": &format.LineEnding, "formulaGuard": &format.FormulaGuard, "compression": &format.Compression,
	}
	var problems []export.FieldError
	for i, f := range fields {
		message := ""
		switch member := members[f.name].(type) {
		case nil:
			message = "is not an option of the format"
		case *bool:
			message = decodeInto(f.value, member, "must be true or false")
		default:
			message = decodeInto(f.value, member, "must be a string")
		}
		if repeated(fields, i) {
			message = "is given twice"
		}
		if message != "" {
			problems = append(problems, export.FieldError{Field: "format." + f.name, Message: message})
		}
	}
	return &format, problems
}

// decodeDestination takes an object with the destination's name, and perhaps a
// prefix.
func decodeDestination(value json.RawMessage) (*dataset.GivenDestination, []export.FieldError) {
	fields, err := object(value)
	if err != nil {
		return nil, []export.FieldError{{Field: "destination", Message: "must be an object"}}
	}
	given := &dataset.GivenDestination{}
	members := map[string]*string{"name": &given.Name, "prefix": &given.Prefix}
	var problems []export.FieldError
	for i, f := range fields {
		message := "is not a field of a destination"
		if member := members[f.name]; member != nil {
			message = decodeInto(f.value, member, "must be a string")
		}
		if repeated(fields, i) {
			message = "is given twice"
		}
		if message != "" {
			problems = append(problems, export.FieldError{Field: "destination." + f.name, Message: message})
		}
	}
	if !slices.ContainsFunc(fields, func(f field) bool { return f.name == "name" }) {
		problems = append(problems, export.FieldError{Field: "destination.name", Message: "must be given"})
	}
	if len(problems) > 0 {
		return nil, problems // what is known of it isn't worth a second look
	}
	return given, nil
}

// readBody returns the body of a JSON request; an empty one stands for {}.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, export.Errorf(export.PayloadTooLarge, "The request's body is larger than %d bytes.", maxBody)
	}
	if err != nil {
		return nil, invalid(export.FieldError{Message: "the body can't be read"})
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return []byte("{}"), nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, export.Errorf(export.UnsupportedMediaType, "The request's Content-Type must be application/json.")
	}
	if !utf8.Valid(body) || hasLoneSurrogate(body) { // encoding/json would replace those
		return nil, invalid(export.FieldError{Message: "the body must be JSON in UTF-8"})
	}
	return body, nil
}

// hasLoneSurrogate reports whether JSON text escapes half of a character:
// \ud800 to \udfff not in pairs (RFC 8259, section 8.2).
func hasLoneSurrogate(body []byte) bool {
	var high rune // the escape right before
	for len(body) > 0 {
		at := bytes.IndexByte(body, '\\')
		if at < 0 || at+1 >= len(body) {
			break
		}
		var escaped rune
		size := 2
		if body[at+1] == 'u' && at+6 <= len(body) {
			n, err := strconv.ParseUint(string(body[at+2:at+6]), 16, 16)
			if err != nil {
				return false // no JSON: not for here
			}
			escaped, size = rune(n), 6
		}
		paired := high != 0 && at == 0 && utf16.DecodeRune(high, escaped) != utf8.RuneError
		if high != 0 && !paired {
			return true
		}
		high = 0
		if utf16.IsSurrogate(escaped) && !paired {
			high = escaped // if it is a low one, no pair follows
		}
		body = body[at+size:]
	}
	return high != 0
}

// field is a member of a JSON object.
type field struct {
	name  string
	value json.RawMessage
}

// repeated reports whether an earlier member has the name of member i.
func repeated(fields []field, i int) bool {
	return slices.ContainsFunc(fields[:i], func(f field) bool { return f.name == fields[i].name })
}

// object splits a JSON object into its members, in their order and with the
// repeated ones, which encoding/json would drop in silence.
func object(body []byte) ([]field, error) {
	notObject := invalid(export.FieldError{Message: "the body must be one JSON object"})
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, notObject
	}
	var fields []field
	for d.More() {
		var f field
		name, err := d.Token()
		if err != nil || d.Decode(&f.value) != nil {
			return nil, notObject
		}
		f.name, _ = name.(string) // an object's keys are strings, or Token fails
		fields = append(fields, f)
	}
	if _, err := d.Token(); err != nil {
		return nil, notObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, notObject
	}
	return fields, nil
}
