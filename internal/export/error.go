package export

import (
	"errors"
	"fmt"
	"time"
)

// Code names a kind of error for machines. Those that reach a caller are part
// of the HTTP contract.
type Code string

// The codes of requests.
const (
	InvalidRequest        Code = "invalid_request"
	Unauthenticated       Code = "unauthenticated"
	Forbidden             Code = "forbidden"
	NotFound              Code = "not_found"
	NotReady              Code = "export_not_ready"
	ExportFailed          Code = "export_failed"
	NotRetryable          Code = "export_not_retryable"
	IdempotencyInProgress Code = "idempotency_in_progress"
	Gone                  Code = "gone"
	PayloadTooLarge       Code = "payload_too_large"
	UnsupportedMediaType  Code = "unsupported_media_type"
	IdempotencyMismatch   Code = "idempotency_mismatch"
	TooManyExports        Code = "too_many_exports"
	Internal              Code = "internal"
	Unavailable           Code = "unavailable"
)

// The codes of runs; the first group is final, the second is tried again.
const (
	DatasetChanged    Code = "dataset_changed"    // the catalog no longer says what it said at creation
	SourceRejected    Code = "source_rejected"    // Postgres refuses the query: a missing table or column, no permission
	StorageRejected   Code = "storage_rejected"   // S3 refuses the file: a missing bucket, no permission
	TimeLimit         Code = "time_limit"         // the rows can't be read within a function's time
	FileTooLarge      Code = "file_too_large"     // the file is, or will be, larger than an object in S3 may be
	RowLimit          Code = "row_limit"          // more rows than the dataset's limit
	ByteLimit         Code = "byte_limit"         // a larger file than the dataset's limit
	AgeLimit          Code = "age_limit"          // the snapshot got older than the dataset's limit
	FileLimit         Code = "file_limit"         // split into more files than an export may have
	AttemptsExhausted Code = "attempts_exhausted" // every attempt failed for a passing reason

	SourceUnreachable  Code = "source_unreachable"  // Postgres takes no connection
	SourceUnavailable  Code = "source_unavailable"  // Postgres ended the query, or stopped answering
	StorageUnavailable Code = "storage_unavailable" // S3 can't be reached or is overloaded
	FenceLost          Code = "fence_lost"          // somebody else may write now; this worker must stop
	Conflict           Code = "conflict"            // the record is not in the state that the write needs
)

// Permanent reports whether trying again can't help. Everything that isn't
// known to be permanent counts as passing, until the attempts are spent.
func (c Code) Permanent() bool {
	switch c {
	case InvalidRequest, DatasetChanged, SourceRejected, StorageRejected, TimeLimit, FileTooLarge, RowLimit, ByteLimit, AgeLimit, FileLimit, AttemptsExhausted:
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
	// RetryAfter is when a request may be worth repeating; 0 for what is usual
	// for its code.
	RetryAfter time.Duration
	Err        error
}

// Exhausted is the error of an export whose last attempt ended with cause.
func Exhausted(cause error) *Error {
	return &Error{
		Code: AttemptsExhausted, Err: cause,
		Message: "The export failed after several attempts. " + MessageOf(cause),
	}
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
