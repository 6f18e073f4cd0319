package e2e

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"csvexport/infra/internal/invariants"
)

// A worker that dies without a word costs its attempt and nothing else: when
// its lease has run out, the sweeper sends the export anew, another worker
// starts it over, and what the first one left is cleaned up.
func TestExport_workerKilled(t *testing.T) {
	shared.seed(t, largeRows)
	before := time.Now().Add(-time.Second)
	id := shared.create(t).ExportID
	eventually(t, time.Minute, "the first part is up", func() bool { return shared.parts(t, id) > 0 })
	if err := syscall.Kill(shared.worker(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if parts := shared.parts(t, id); parts == 0 {
		t.Fatal("the export was over before its worker was killed: give it more rows")
	}
	attempts := map[int]bool{}
	// Lease 20 s, then the next sweep, within a minute.
	done := shared.follow(t, id, 2*time.Minute, func(s status) { attempts[s.Attempts] = true })
	checkCompleted(t, done, before, 2)
	if !attempts[1] {
		t.Error("the status never showed the first attempt")
	}
	shared.checkFile(t, done)
	shared.object(t, done)
	shared.checkNothingLeft(t, id)
	// The dead worker's message stays hidden for its visibility timeout, 90 minutes; other tests look at the queue.
	if _, err := shared.Endpoints.SQSClient().PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &shared.QueueURL}); err != nil {
		t.Fatal(err)
	}
}

// parts counts the parts of an export's open upload.
func (l *local) parts(t *testing.T, id string) int {
	t.Helper()
	n := 0
	for _, u := range l.uploads(t, id) {
		out, err := l.Endpoints.S3Client().ListParts(t.Context(), &s3.ListPartsInput{Bucket: &l.Bucket, Key: u.Key, UploadId: u.UploadId})
		if err != nil {
			t.Fatal(err)
		}
		n += len(out.Parts)
	}
	return n
}

// busyWorkers are the process ids of run-export at work.
func (l *local) busyWorkers(t *testing.T) []int {
	t.Helper()
	all, err := invariants.Processes(t.Context(), l.State)
	if err != nil {
		t.Fatal(err)
	}
	var busy []int
	for _, p := range all {
		if p.Exporting() {
			busy = append(busy, p.PID)
		}
	}
	return busy
}

// worker is the process id of the one run-export that is at work.
func (l *local) worker(t *testing.T) int {
	t.Helper()
	busy := l.busyWorkers(t)
	if len(busy) != 1 || busy[0] == os.Getpid() || busy[0] <= 1 {
		t.Fatalf("processes of run-export at work: %v, want one", busy)
	}
	return busy[0]
}
