package sweeper_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
	"csvexport/internal/sweeper"
)

type fixture struct {
	*sweeper.Sweeper
	queueURL, noticesURL string
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	cfg, url, notices := servertest.AWS(t), servertest.Queue(t), servertest.Queue(t)
	store, files := jobs.New(cfg, servertest.Table(t)), bucket.NewBuckets(cfg, servertest.Bucket(t), "")
	return fixture{queueURL: url, noticesURL: notices, Sweeper: &sweeper.Sweeper{
		Jobs: store, Queue: queue.New(cfg, url), Buckets: files, Worker: "sweeper",
		Publisher: &publish.Publisher{Jobs: store, Buckets: files, Notices: queue.New(cfg, notices), FileTTL: time.Hour},
	}}
}

// trace is that of each request.
const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// create creates an export that was due at the given time.
func (f fixture) create(t *testing.T, due time.Time) export.Export {
	t.Helper()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: export.Spec{Dataset: "users"}, Token: "token", Traceparent: trace,
		Status: export.Processing, Phase: export.Queued, CreatedAt: due, DueAt: due,
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (f fixture) claim(t *testing.T, e export.Export, at time.Time) export.Export {
	t.Helper()
	e, err := f.Jobs.Claim(t.Context(), e, "worker", at)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (f fixture) sweep(t *testing.T) {
	t.Helper()
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (f fixture) get(t *testing.T, id string) export.Export {
	t.Helper()
	e, err := f.Jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// wantSent receives and deletes all messages and compares the exports that
// they name. A message whose delivery was lost on the way comes again.
func (f fixture) wantSent(t *testing.T, want ...string) {
	t.Helper()
	got := map[string]int{}
	client := sqs.NewFromConfig(servertest.AWS(t))
	for deadline := time.Now().Add(10 * time.Second); ; {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &f.queueURL, MaxNumberOfMessages: 10, VisibilityTimeout: 2,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			var body struct {
				V                     int
				ExportID, Traceparent string
			}
			if err := json.Unmarshal([]byte(*m.Body), &body); err != nil || body.V != 1 || body.Traceparent != trace {
				t.Errorf("message %s (%v)", *m.Body, err)
			}
			got[body.ExportID]++
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &f.queueURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
		if len(out.Messages) == 0 && (len(got) >= len(want) || time.Now().After(deadline)) {
			break
		}
	}
	wanted := map[string]int{}
	for _, id := range want {
		wanted[id] = 1
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("messages by export (-want +got):\n%s", diff)
	}
}

// upload puts a running export's file where it belongs, short of publishing.
func (f fixture) upload(t *testing.T, e export.Export) (export.Result, bucket.Sealed) {
	t.Helper()
	u := f.Buckets.For(e).NewUpload(t.Context(), bucket.Object{Key: e.Key(e.Attempt), Token: e.Token}, func(context.Context, string) error { return nil })
	if _, err := u.Write([]byte("file")); err != nil {
		t.Fatal(err)
	}
	sealed, err := u.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return export.Result{Rows: 1, Bytes: sealed.Size, CRC32: sealed.CRC32, Key: sealed.Key}, sealed
}

func TestSweeper_queued(t *testing.T) {
	f := newFixture(t)
	due := f.create(t, time.Now().Add(-time.Second))
	f.create(t, time.Now().Add(time.Minute))
	f.sweep(t)
	f.wantSent(t, due.ID)
	if got := f.get(t, due.ID); got.Sends != 1 || time.Until(got.DueAt) < 50*time.Second {
		t.Errorf("sends %d, due in %v: want it postponed by a minute", got.Sends, time.Until(got.DueAt))
	}
	f.sweep(t) // at once again: not due any more
	f.wantSent(t)
}

// Each message for an export that still waits comes later than the last. The
// test's own Postpone counts as one, so every other step is seen.
func TestSweeper_waitsLonger(t *testing.T) {
	f := newFixture(t)
	e := f.create(t, time.Now().Add(-time.Second))
	for _, want := range []time.Duration{time.Minute, 4 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		f.sweep(t)
		e = f.get(t, e.ID)
		if wait := time.Until(e.DueAt); wait > want || wait < want-10*time.Second {
			t.Errorf("after message %d: due in %v, want %v", e.Sends, wait, want)
		}
		if err := f.Jobs.Postpone(t.Context(), e, time.Now().Add(-time.Second)); err != nil { // counts a send
			t.Fatal(err)
		}
		e = f.get(t, e.ID)
	}
}

func TestSweeper_running(t *testing.T) {
	f := newFixture(t)
	old := time.Now().Add(-time.Minute)
	dead := f.claim(t, f.create(t, old), old)
	alive := f.claim(t, f.create(t, old), old)
	if err := f.Jobs.Beat(t.Context(), alive, export.Progress{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.sweep(t)
	f.wantSent(t, dead.ID)
}

func TestSweeper_finalizing(t *testing.T) {
	old := time.Now().Add(-time.Minute)
	for name, test := range map[string]struct {
		published bool
		status    export.Status
		phase     export.Phase
	}{
		"file is there":     {true, export.Completed, ""},
		"file is not there": {false, export.Processing, export.Queued},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			e := f.claim(t, f.create(t, old), old)
			r, sealed := f.upload(t, e)
			if err := f.Jobs.Finalize(t.Context(), e, r); err != nil {
				t.Fatal(err)
			}
			if test.published {
				if err := f.Buckets.For(e).Publish(t.Context(), sealed); err != nil {
					t.Fatal(err)
				}
			}
			f.sweep(t)
			if got := f.get(t, e.ID); got.Status != test.status || got.Phase != test.phase {
				t.Errorf("status %s, phase %q; want %s, %q", got.Status, got.Phase, test.status, test.phase)
			}
			if test.published {
				f.wantSent(t)
			} else {
				f.wantSent(t, e.ID)
			}
		})
	}
}

func TestSweeper_expires(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	complete := func(expires time.Time) export.Export {
		e := f.claim(t, f.create(t, now), now)
		r, sealed := f.upload(t, e)
		for _, err := range []error{
			f.Jobs.Finalize(t.Context(), e, r),
			f.Buckets.For(e).Publish(t.Context(), sealed),
			f.Jobs.Complete(t.Context(), e, now.Add(-time.Hour), expires),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	over, kept := complete(now.Add(-time.Second)), complete(now.Add(time.Hour))
	deleted := f.get(t, complete(now.Add(time.Hour)).ID)
	if err := f.Jobs.Delete(t.Context(), deleted, now); err != nil { // and who did it dies
		t.Fatal(err)
	}
	f.sweep(t)
	f.sweep(t)
	for e, want := range map[string]struct {
		status export.Status
		file   bool
	}{over.ID: {export.Expired, false}, deleted.ID: {export.Deleted, false}, kept.ID: {export.Completed, true}} {
		got := f.get(t, e)
		if got.Status != want.status {
			t.Errorf("status %s, want %s", got.Status, want.status)
		}
		if head, err := f.Buckets.For(got).Head(t.Context(), got.Result.Key); err != nil || head.Exists != want.file {
			t.Errorf("%s export's file is there: %v (%v), want %v", want.status, head.Exists, err, want.file)
		}
	}
	for _, id := range []string{over.ID, deleted.ID} {
		if got := f.get(t, id); !got.DueAt.IsZero() {
			t.Errorf("the %s export is still due", got.Status)
		}
	}
}

// What a dead worker of a cancelled export left is removed soon, and what it
// might still have had under way once more when that is over.
func TestSweeper_cancelled(t *testing.T) {
	for name, test := range map[string]struct {
		ago   time.Duration // of the cancel
		again bool
	}{"soon": {time.Minute, true}, "at last": {time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			at := time.Now().Add(-test.ago)
			e := f.claim(t, f.create(t, at), at)
			f.leave(t, e)
			e = f.claim(t, f.get(t, e.ID), at.Add(time.Hour)) // a second worker, which dies, too
			f.leave(t, e)
			if err := f.Jobs.Cancel(t.Context(), e, at, time.Hour); err != nil {
				t.Fatal(err)
			}
			other := f.claim(t, f.create(t, time.Now().Add(time.Hour)), time.Now())
			f.leave(t, other)
			f.sweep(t)
			f.wantSent(t)
			f.wantLeft(t, e, nil, 0)
			f.wantLeft(t, other, []string{other.Key(1)}, 1)
			got := f.get(t, e.ID)
			if got.Status != export.Cancelled || got.DueAt.IsZero() == test.again {
				t.Errorf("status %s, due at %v", got.Status, got.DueAt)
			}
			if test.again && got.DueAt.Before(at.Add(15*time.Minute+export.Lease)) {
				t.Errorf("due again at %v: a request of the worker may still be under way", got.DueAt)
			}
		})
	}
}

// leave leaves what a worker may: a file, and an open upload.
func (f fixture) leave(t *testing.T, e export.Export) {
	t.Helper()
	_, sealed := f.upload(t, e)
	if err := f.Buckets.For(e).Publish(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	u := f.Buckets.For(e).NewUpload(t.Context(), bucket.Object{Key: e.Key(e.Attempt), Token: e.Token}, func(context.Context, string) error { return nil })
	if _, err := u.Write(make([]byte, bucket.MinPartSize+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Seal(); err != nil {
		t.Fatal(err)
	}
}

// wantLeft checks which files of e's attempts are there, and how many uploads
// are open.
func (f fixture) wantLeft(t *testing.T, e export.Export, files []string, uploads int) {
	t.Helper()
	for attempt := range e.Attempt {
		key := e.Key(attempt + 1)
		if head, err := f.Buckets.For(e).Head(t.Context(), key); err != nil || head.Exists != slices.Contains(files, key) {
			t.Errorf("%s is there: %v (%v)", key, head.Exists, err)
		}
	}
	if open, err := f.Buckets.For(e).OpenUploads(t.Context(), e.KeyPrefix()); err != nil || len(open) != uploads {
		t.Errorf("open uploads %v (%v), want %d", open, err, uploads)
	}
}

// What earlier attempts left goes soon, whatever became of the export.
func TestSweeper_clears(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	for status, end := range map[export.Status]func(t *testing.T, f fixture, e export.Export) (files []string, due time.Time){
		export.Failed: func(t *testing.T, f fixture, e export.Export) ([]string, time.Time) {
			if err := f.Jobs.Fail(t.Context(), e, export.Failure{Code: export.SourceRejected}, old, 2*time.Hour); err != nil {
				t.Fatal(err)
			}
			return nil, time.Time{}
		},
		export.Completed: func(t *testing.T, f fixture, e export.Export) ([]string, time.Time) {
			expires := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
			if err := f.Jobs.Finalize(t.Context(), e, export.Result{Key: e.Key(2)}); err != nil {
				t.Fatal(err)
			}
			if err := f.Jobs.Complete(t.Context(), e, old, expires); err != nil {
				t.Fatal(err)
			}
			return []string{e.Key(2)}, expires
		},
	} {
		t.Run(string(status), func(t *testing.T) {
			f := newFixture(t)
			first := f.claim(t, f.create(t, old), old)
			f.leave(t, first)
			second := f.claim(t, f.get(t, first.ID), old.Add(time.Minute))
			f.leave(t, second)
			files, due := end(t, f, second)
			f.sweep(t)
			f.wantLeft(t, second, files, 0)
			if got := f.get(t, first.ID); got.Status != status || !got.DueAt.Equal(due) {
				t.Errorf("status %s, due at %v, want %s, %v", got.Status, got.DueAt, status, due)
			}
		})
	}
}

// An expired file that can't be deleted now is deleted later.
func TestSweeper_expiresLater(t *testing.T) {
	f := newFixture(t)
	old := time.Now().Add(-time.Hour)
	e := f.claim(t, f.create(t, old), old)
	f.leave(t, e)
	if err := f.Jobs.Finalize(t.Context(), e, export.Result{Key: e.Key(1)}); err != nil {
		t.Fatal(err)
	}
	if err := f.Jobs.Complete(t.Context(), e, old, old.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	files := f.Buckets
	f.Buckets = bucket.NewBuckets(servertest.AWSAt(t, "http://127.0.0.1:1"), "b", "")
	if err := f.Sweep(t.Context()); err == nil {
		t.Error("no error though S3 is away")
	}
	f.Buckets = files
	f.sweep(t)
	f.wantLeft(t, e, nil, 0)
}

// One export that can't be repaired doesn't keep the others from it.
func TestSweeper_goesOn(t *testing.T) {
	f := newFixture(t)
	old := time.Now().Add(-time.Minute)
	broken := f.claim(t, f.create(t, old.Add(-time.Hour)), old)
	if err := f.Jobs.Finalize(t.Context(), broken, export.Result{Key: broken.Key(1), Bytes: 1}); err != nil {
		t.Fatal(err)
	}
	waiting := f.create(t, old)
	f.Publisher.Buckets = bucket.NewBuckets(servertest.AWSAt(t, "http://127.0.0.1:1"), "b", "")
	if err := f.Sweep(t.Context()); err == nil {
		t.Error("no error for the export that could not be repaired")
	}
	f.wantSent(t, waiting.ID)
}
