package export

// Status is what a caller sees of an export's life:
//
//	processing -> completed | failed | cancelled
//	completed  -> expired | deleted
//
// The conditions under which each move is made stand in package jobs.
type Status string

// The statuses.
const (
	Processing Status = "processing"
	Completed  Status = "completed"
	Failed     Status = "failed"
	Cancelled  Status = "cancelled"
	Expired    Status = "expired"
	Deleted    Status = "deleted"
)

// Statuses are all of them.
var Statuses = []Status{Processing, Completed, Failed, Cancelled, Expired, Deleted}

// Done reports whether no more work will be done for an export in s.
func (s Status) Done() bool { return s != Processing }

// Phase is where a processing export stands:
//
//	queued -> running -> finalizing
//
// with running -> queued when an attempt is given up for a later one, and
// finalizing -> queued when its file proved not to be there.
type Phase string

// The phases.
const (
	Queued     Phase = "queued"     // waits for a worker
	Running    Phase = "running"    // a worker reads rows
	Finalizing Phase = "finalizing" // all rows are read, the file is being published
)
