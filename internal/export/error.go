package export

import (
	"errors"
	"fmt"
)

// Code names a kind of error for machines. Those that reach a caller are part
// of the HTTP contract.
type Code string

// The codes of requests.
const (
	InvalidRequest       Code = "invalid_request"
	Unauthenticated      Code = "unauthenticated"
	Forbidden            Code = "forbidden"
	NotFound             Code = "not_found"
	NotReady             Code = "export_not_ready"
	ExportFailed         Code = "export_failed"
	Gone                 Code = "gone"
	PayloadTooLarge      Code = "payload_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	Internal             Code = "internal"
	Unavailable          Code = "unavailable"
)

// The codes of runs; the first group is final, the second is tried again.
const (
	DatasetChanged    Code = "dataset_changed"    // the catalog no longer says what it said at creation
	SourceRejected    Code = "source_rejected"    // Postgres refuses the query: a missing table or column, no permission
	StorageRejected   Code = "storage_rejected"   // S3 refuses the file: a missing bucket, no permission
	TimeLimit         Code = "time_limit"         // the rows can't be read within a function's time
	FileTooLarge      Code = "file_too_large"     // the file is, or will be, larger than an object in S3 may be
	AttemptsExhausted Code = "attempts_exhausted" // every attempt failed for a passing reason

	SourceUnavailable  Code = "source_unavailable"  // Postgres can't be reached or ended the query
	StorageUnavailable Code = "storage_unavailable" // S3 can't be reached or is overloaded
	FenceLost          Code = "fence_lost"          // somebody else may write now; this worker must stop
	Conflict           Code = "conflict"            // the record is not in the state that the write needs
)

// Permanent reports whether trying again can't help. Everything that isn't
// known to be permanent counts as passing, until the attempts are spent.
func (c Code) Permanent() bool {
	switch c {
	case InvalidRequest, DatasetChanged, SourceRejected, StorageRejected, TimeLimit, FileTooLarge, AttemptsExhausted:
		return true
	default:
		return false
	}
}

// Error is an error with a code for machines and a message that may be shown
// to callers. Err is the cause; it goes to the log, never to a caller.
type Error struct {
	Code    Code
	Message string
	Fields  []FieldError // what is wrong with which field of a request
	Err     error
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Errorf returns an Error without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of the outermost Error in err's chain, or Internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// MessageOf is the message of the outermost Error in err's chain, or a
// sentence that tells nothing about the inside.
func MessageOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return "Something went wrong on our side."
}
