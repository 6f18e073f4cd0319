package sweeper_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"csvexport/internal/export"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// An end whose message was lost is announced anew, ever more rarely, and its age
// is told as long as nobody began to tell of it.
func TestSweeper_reminds(t *testing.T) {
	f := newFixture(t)
	ended := time.Now().Add(-time.Hour)
	e := f.create(t, ended)
	if err := f.Jobs.Cancel(t.Context(), e, ended, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	age := func() float64 {
		log := servertest.Log(t)
		f.sweep(t)
		return servertest.Metrics(t, log())["OldestNoticeSeconds"]
	}
	if got := age(); got < 3600 || got > 3660 {
		t.Errorf("age %v, want an hour's", got)
	}
	f.wantAnnounced(t, e.ID)
	n, err := f.Jobs.Notice(t.Context(), e.ID)
	if wait := time.Until(n.DueAt); err != nil || n.Sends != 1 || n.Rev != 0 || wait < 50*time.Second || wait > time.Minute {
		t.Fatalf("notice %+v (%v), want one reminder and the next in a minute", n, err)
	}
	f.sweep(t) // too early
	f.wantAnnounced(t)
	if err := f.Jobs.PostponeNotice(t.Context(), n, ended); err != nil {
		t.Fatal(err)
	}
	f.sweep(t)
	f.wantAnnounced(t, e.ID)
	n, err = f.Jobs.Notice(t.Context(), e.ID)
	if wait := time.Until(n.DueAt); err != nil || n.Sends != 3 || wait < 3*time.Minute || wait > 4*time.Minute {
		t.Fatalf("notice %+v (%v), want the next reminder in four minutes", n, err)
	}
	if n, err = f.Jobs.ClaimNotice(t.Context(), n, ended); err != nil { // somebody began, and died
		t.Fatal(err)
	}
	if got := age(); got != 0 {
		t.Errorf("age %v though somebody began to tell", got)
	}
	f.wantAnnounced(t, e.ID)
	if err := f.Jobs.RecordNotice(t.Context(), n); err != nil { // nobody is left
		t.Fatal(err)
	}
	if _, err := f.Jobs.Notice(t.Context(), e.ID); export.CodeOf(err) != export.NotFound {
		t.Errorf("the notice is still there: %v", err)
	}
}

// A reminder that couldn't be sent isn't counted, and comes with the next sweep.
func TestSweeper_remindsLater(t *testing.T) {
	f := newFixture(t)
	ended := time.Now().Add(-time.Hour)
	e := f.create(t, ended)
	if err := f.Jobs.Cancel(t.Context(), e, ended, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	working := f.Publisher.Notices
	f.Publisher.Notices = queue.New(servertest.AWSAt(t, "http://127.0.0.1:1"), "http://127.0.0.1:1/queue")
	if err := f.Sweep(t.Context()); err == nil {
		t.Error("no error though SQS is away")
	}
	f.Publisher.Notices = working
	f.sweep(t)
	f.wantAnnounced(t, e.ID)
}

// wantAnnounced receives and deletes the messages about ends.
func (f fixture) wantAnnounced(t *testing.T, want ...string) {
	t.Helper()
	client := sqs.NewFromConfig(servertest.AWS(t))
	out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &f.noticesURL, MaxNumberOfMessages: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range out.Messages {
		if got, err := queue.Decode(*m.Body); err != nil || len(want) != 1 || got.ExportID != want[0] {
			t.Errorf("announced %+v (%v), want %v", got, err, want)
		}
		if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &f.noticesURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.Messages) != len(want) {
		t.Errorf("%d messages, want %d", len(out.Messages), len(want))
	}
}
