package faults

import (
	"strings"

	"csvexport/infra/internal/wire"
)

// Which calls a rule is about.

func operation(names ...string) func(wire.Call) bool {
	return func(c wire.Call) bool {
		for _, name := range names {
			if c.Operation == name {
				return true
			}
		}
		return false
	}
}

// part matches the upload of the part with a number.
func part(number string) func(wire.Call) bool {
	return func(c wire.Call) bool { return c.Operation == "UploadPart" && c.Query.Get("partNumber") == number }
}

// from matches the calls of a function.
func from(function string, match func(wire.Call) bool) func(wire.Call) bool {
	return func(c wire.Call) bool { return c.Function == function && match(c) }
}

func every(wire.Call) bool { return true }

// moves matches the write that gives an export a status.
func moves(to string) func(wire.Call) bool {
	return func(c wire.Call) bool {
		return c.Operation == "TransactWriteItems" && strings.Contains(c.Body, `{"S":"`+to+`"}`)
	}
}

// Moments in the life of an export of several parts: its rows flow and nothing
// is sent; a part is sent; all rows are read and the file is about to appear.
var (
	copying    = operation("CreateMultipartUpload")
	uploading  = part("2")
	completing = operation("CompleteMultipartUpload")
)
