// Package export is the domain: what an export is, which states it can be in,
// and how its failures are named. It knows no storage and no transport.
package export

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits that every part of the service agrees on.
const (
	// MaxAttempts is how many attempts an export has; see Spent.
	MaxAttempts = 5
	// ExcusedFor is how long after an export's creation the attempts that never
	// reached the database don't count.
	ExcusedFor = time.Hour
	// Lease is how long a worker may be silent before another may take over.
	Lease = 20 * time.Second
	// Beat is how often a worker renews its lease and writes its progress.
	Beat = time.Second
	// RecordTTL is how long a record outlives its file.
	RecordTTL = 30 * 24 * time.Hour
)

// Export is one requested extract, from the request to the file's end.
type Export struct {
	ID    string // UUIDv7, lower case
	Owner string // hex SHA-256 of issuer and subject, or "anonymous"
	Spec  Spec
	// Token is the random mark that the finished object carries in its
	// metadata, so that a HEAD can tell this export's object from any other.
	Token string
	// DatasetFingerprint identifies the dataset's definition at creation.
	DatasetFingerprint string
	// Traceparent is the trace of the request (W3C Trace Context).
	Traceparent string

	Status Status
	Phase  Phase // empty unless Status is Processing
	// Attempt names a snapshot, an upload and a key: it changes only when
	// work starts over. 0 until the first claim.
	Attempt int
	// Excused is how many attempts don't count, since they never reached the
	// database.
	Excused int
	// Fence names who may write: it grows at every claim, hand-over and
	// cancel, and each write of a worker is conditional on it.
	Fence int64
	// LeaseUntil is when the current worker's right to write may be taken
	// over; zero when nobody holds one.
	LeaseUntil time.Time
	// Sends counts how often the sweeper sent this export to the queue anew.
	Sends int

	Progress Progress
	Snapshot *Snapshot // nil until the first snapshot
	Result   *Result   // nil until the rows are all read
	Failure  *Failure  // nil unless Status is Failed

	CreatedAt   time.Time
	StartedAt   time.Time // of the first attempt; zero until then
	CompletedAt time.Time // of the final status; zero until then
	ExpiresAt   time.Time // when the file is deleted; zero until completed, and for one in a destination
	DueAt       time.Time // when the sweeper looks at it again; zero for never
}

// Spec is a request in normal form: what to extract. Two requests that mean
// the same have equal specs.
type Spec struct {
	Dataset string `json:"dataset"`
	// Filters holds the values of each filter by its name; see dataset.Filter.
	Filters map[string][]string `json:"filters,omitempty"`
	// Columns are the file's columns in their order; nil for the dataset's.
	Columns []string `json:"columns,omitempty"`
	// Rows are the values of the caller's claim that the dataset's rows are
	// limited to; nil where they aren't. They come from the caller's verified
	// token alone.
	Rows []string `json:"rows,omitempty"`
	// Format is nil for DefaultFormat; see FormatOrDefault.
	Format *Format `json:"format,omitempty"`
	// FileName is the name that the caller chose; empty for one of the
	// dataset and the time.
	FileName string `json:"fileName,omitempty"`
	// MaxRowsPerFile splits the rows into files of so many rows, but for the
	// last; 0 makes one file.
	MaxRowsPerFile int64 `json:"maxRowsPerFile,omitempty"`
	// Destination is where the file goes; nil for the service's own bucket.
	Destination *Destination `json:"destination,omitempty"`
}

// Progress is what the current attempt has done so far.
type Progress struct {
	TotalRows     *int64 // nil until known
	ProcessedRows int64
	RowsPerSecond int64
}

// Percentage is the whole percentage of rows processed, rounded down. It
// stays below 100: only a completed export is at 100 (see Export.Percentage).
func (p Progress) Percentage() int {
	if p.TotalRows == nil || *p.TotalRows <= 0 {
		return 0
	}
	return int(min(p.ProcessedRows*100 / *p.TotalRows, 99))
}

// Percentage is 100 for a completed export, also one of no rows, and the
// progress's otherwise.
func (e Export) Percentage() int {
	switch e.Status {
	case Completed, Expired, Deleted:
		return 100
	default:
		return e.Progress.Percentage()
	}
}

// StatusAt is e's status for callers: a file whose time is over is expired,
// also before the sweeper has come by. One in a destination stays: it belongs
// to whoever owns the bucket.
func (e Export) StatusAt(now time.Time) Status {
	if e.Status == Completed && !e.ExpiresAt.IsZero() && !now.Before(e.ExpiresAt) {
		return Expired
	}
	return e.Status
}

// Snapshot says which state of the database an attempt reads.
type Snapshot struct {
	AsOf  time.Time
	Order Order
}

// Order is the order of the rows in the file.
type Order string

// The orders.
const (
	ByKey     Order = "key"      // ascending by the dataset's key
	Physical  Order = "physical" // as the rows lie in the table
	Unordered Order = "none"     // as the database gave them: a view without a key
)

// Result describes the finished file. It is recorded before the file is
// published, so that whoever finds the object can tell whether it is right.
// Of a split export the object is the manifest, and rows and uncompressed
// bytes are those of its files, which are there already; see Manifest.
type Result struct {
	Rows              int64
	UncompressedBytes int64 // of the CSV
	Bytes             int64
	CRC32             uint32 // of the object's bytes, IEEE polynomial
	Key               string
	UploadID          string // empty when the object was put in one request
	Files             int    // of a split export; 0 for one file
	FileBytes         int64  // of those files
}

// Failure is why an export failed: a code for machines, a sentence for people.
type Failure struct {
	Code    Code
	Message string
}

// Spent reports whether e has had all its attempts.
func (e Export) Spent() bool { return e.Counted() >= MaxAttempts }

// Counted is how many of e's attempts count.
func (e Export) Counted() int { return e.Attempt - e.Excused }

// LogAttrs are the members of a line of the log about e, for slog.
func (e Export) LogAttrs() []any {
	return []any{"exportId", e.ID, "attempt", e.Attempt, "fence", e.Fence, "dataset", e.Spec.Dataset, "traceparent", e.Traceparent}
}

// FileName is the name a caller's download is saved under: the file's, or the
// manifest's of a split export.
func (e Export) FileName() string {
	if e.Spec.MaxRowsPerFile > 0 {
		return e.baseName() + ".manifest.json"
	}
	return e.baseName() + e.Spec.FormatOrDefault().Extension()
}

// PartName is the name that file n of a split export is saved under, from 1.
func (e Export) PartName(n int) string {
	return e.baseName() + fmt.Sprintf("-%05d", n) + e.Spec.FormatOrDefault().Extension()
}

// baseName is the file's name without what follows from the format.
func (e Export) baseName() string {
	if e.Spec.FileName != "" {
		return strings.TrimSuffix(e.Spec.FileName, e.Spec.FormatOrDefault().Extension())
	}
	return e.Spec.Dataset + "-" + e.CreatedAt.UTC().Format("20060102T150405Z")
}

// Key is the object key of the export's attempt: KeyPrefix and ATTEMPT.csv.gz,
// or .csv for a file that isn't packed, or .json for the manifest of a split
// export.
func (e Export) Key(attempt int) string {
	extension := e.Spec.FormatOrDefault().Extension()
	if e.Spec.MaxRowsPerFile > 0 {
		extension = ".json"
	}
	return e.KeyPrefix() + strconv.Itoa(attempt) + extension
}

// PartKey is the object key of file n, from 1, of an attempt at a split
// export: KeyPrefix and ATTEMPT/00001.csv.gz.
func (e Export) PartKey(attempt, n int) string {
	return e.partPrefix(attempt) + fmt.Sprintf("%05d", n) + e.Spec.FormatOrDefault().Extension()
}

func (e Export) partPrefix(attempt int) string { return e.KeyPrefix() + strconv.Itoa(attempt) + "/" }

// PartKeys are the object keys of the first n files of an attempt.
func (e Export) PartKeys(attempt, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = e.PartKey(attempt, i+1)
	}
	return keys
}

// AttemptOf is the attempt that an object key of the export's is of; 0 for a
// key that isn't the export's.
func (e Export) AttemptOf(key string) int {
	rest, ours := strings.CutPrefix(key, e.KeyPrefix())
	end := strings.IndexAny(rest, "./")
	if !ours || end < 0 {
		return 0
	}
	attempt, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return attempt
}

// Keeps reports whether the object under key is a completed export's: its
// file, or its manifest and the files that it lists.
func (e Export) Keeps(key string) bool {
	if e.Status != Completed || e.Result == nil {
		return false
	}
	return key == e.Result.Key || e.Result.Files > 0 && strings.HasPrefix(key, e.partPrefix(e.AttemptOf(e.Result.Key)))
}

// KeyPrefix is what the keys of all of the export's attempts start with, and no
// other's: exports/OWNER/ID/, and in a destination its own prefix, the
// request's and ID/.
func (e Export) KeyPrefix() string {
	if d := e.Spec.Destination; d != nil {
		return d.Root + d.Prefix + e.ID + "/"
	}
	return "exports/" + e.Owner + "/" + e.ID + "/"
}
