package lambda

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tailBytes is how much of a log the Invoke API returns, as in AWS.
const tailBytes = 4096

// logFile is the log of one environment: what its process writes, between
// START, END and REPORT lines as CloudWatch has them. Both sides append to the
// file directly, so that the lines are in the order in which they were written.
type logFile struct {
	path   string
	stream string // the file's name without .log
	offset int64  // where the current invocation begins; 0 for a cold start
}

func newLogFile(folder string, now time.Time) *logFile {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: see crypto/rand
	stream := now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(random[:])
	return &logFile{path: filepath.Join(folder, stream+".log"), stream: stream}
}

// create makes the file and opens it for the process.
func (l *logFile) create() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return nil, fmt.Errorf("make log folder: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make log file: %w", err)
	}
	return f, nil
}

// write appends whole lines. A log that can't be written is no reason to fail an invocation.
func (l *logFile) write(lines string) {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return
	}
	defer f.Close()
	// The process may have left its last line open.
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			lines = "\n" + lines
		}
	}
	_, _ = f.WriteString(lines)
}

func (l *logFile) start(requestID string) {
	l.write("START RequestId: " + requestID + " Version: $LATEST\n")
}

// finish writes the lines that end an invocation and returns the tail of its log.
func (l *logFile) finish(r Report, a answer, inv *invocation) string {
	var b strings.Builder
	select {
	case <-inv.begun:
	default:
		fmt.Fprintf(&b, "START RequestId: %s Version: $LATEST\n", inv.id)
	}
	if a.fatal {
		fmt.Fprintf(&b, "%s %s\n", inv.id, a.payload)
	}
	if r.MaxMemoryMB > r.MemoryMB {
		fmt.Fprintf(&b, "WARNING RequestId: %s used %d MB of its %d MB: in AWS it would be killed, here the limit is not enforced\n",
			r.RequestID, r.MaxMemoryMB, r.MemoryMB)
	}
	fmt.Fprintf(&b, "END RequestId: %s\n", r.RequestID)
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		r.RequestID, milliseconds(r.Duration), r.BilledDuration.Milliseconds(), r.MemoryMB, r.MaxMemoryMB)
	if r.InitDuration > 0 {
		fmt.Fprintf(&b, "\tInit Duration: %.2f ms", milliseconds(r.InitDuration))
	}
	if r.Status != "success" {
		fmt.Fprintf(&b, "\tStatus: %s\tError Type: %s", r.Status, r.ErrorType)
	}
	b.WriteString("\n")
	l.write(b.String())
	return l.tail()
}

// tail returns the end of the current invocation's part of the log and begins the next part.
func (l *logFile) tail() string {
	f, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	begin := max(l.offset, info.Size()-tailBytes)
	l.offset = info.Size()
	tail, err := io.ReadAll(io.NewSectionReader(f, begin, info.Size()-begin))
	if err != nil {
		return ""
	}
	return string(tail)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
