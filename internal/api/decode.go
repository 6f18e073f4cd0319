package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"csvexport/internal/export"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 16 << 10

const defaultDataset = "users"

// decodeCreate reads the request of POST /exports/csv. Its error names every
// problem at once.
func decodeCreate(w http.ResponseWriter, r *http.Request) (export.Spec, error) {
	body, err := readBody(w, r)
	if err != nil {
		return export.Spec{}, err
	}
	fields, err := object(body)
	if err != nil {
		return export.Spec{}, err
	}
	spec := export.Spec{Dataset: defaultDataset}
	var problems []export.FieldError
	seen := map[string]bool{}
	for _, f := range fields {
		switch {
		case seen[f.name]:
			problems = append(problems, export.FieldError{Field: f.name, Message: "is given twice"})
		case f.name == "dataset":
			if json.Unmarshal(f.value, &spec.Dataset) != nil || bytes.Equal(f.value, []byte("null")) {
				problems = append(problems, export.FieldError{Field: f.name, Message: "must be a string"})
			}
		default:
			problems = append(problems, export.FieldError{Field: f.name, Message: "is not a field of this request"})
		}
		seen[f.name] = true
	}
	if len(problems) > 0 {
		return export.Spec{}, invalid(problems...)
	}
	return spec, nil
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
	return body, nil
}

// field is a member of a JSON object.
type field struct {
	name  string
	value json.RawMessage
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
