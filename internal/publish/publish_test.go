package publish_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// s3Proxy stands before S3 and, for the request that publishes a file, does
// what fault says.
type s3Proxy struct {
	*httptest.Server
	fired     atomic.Int32
	published func() // if set, called when a file was published, before the answer
	missed    func() // if set, called after the answer to a HEAD
}

type fault int

const (
	none       fault = iota
	lostAnswer       // the request goes through, its answer doesn't
	notReached       // the request never gets there
	noHead           // as lostAnswer, and nobody may look
)

func newS3Proxy(t *testing.T, f fault) *s3Proxy {
	t.Helper()
	through := servertest.ThroughS3(t)
	p := &s3Proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		publishes := r.Method == http.MethodPost && r.URL.Query().Has("uploadId") ||
			r.Method == http.MethodPut && !r.URL.Query().Has("uploadId")
		switch {
		case r.Method == http.MethodHead && p.missed != nil:
			through.ServeHTTP(w, r)
			p.missed()
			return
		case publishes && p.published != nil:
			through.ServeHTTP(w, r)
			p.published()
			return
		case f == none, !publishes && (f != noHead || r.Method != http.MethodHead):
			through.ServeHTTP(w, r)
			return
		case publishes && f != notReached:
			through.ServeHTTP(httptest.NewRecorder(), r)
		}
		p.fired.Add(1)
		panic(http.ErrAbortHandler) // the connection breaks
	}))
	t.Cleanup(p.Close)
	return p
}

type fixture struct {
	*publish.Publisher
	proxy  *s3Proxy
	direct *bucket.Buckets // past the proxy
}

func newFixture(t *testing.T, f fault) fixture {
	t.Helper()
	proxy, name := newS3Proxy(t, f), servertest.Bucket(t)
	return fixture{proxy: proxy, direct: bucket.NewBuckets(servertest.AWS(t), name, ""), Publisher: &publish.Publisher{
		Jobs:    jobs.New(servertest.AWS(t), servertest.Table(t)),
		Buckets: bucket.NewBuckets(servertest.AWSAt(t, proxy.URL), name, ""),
		Notices: queue.New(servertest.AWS(t), servertest.Queue(t)),
		FileTTL: time.Hour,
	}}
}

// running creates a claimed export and uploads its file, of the given size,
// as far as before its publication.
func (f fixture) running(t *testing.T, size int) (export.Export, export.Result, bucket.Sealed) {
	t.Helper()
	return f.runningFor(t, size, nil)
}

// runningFor is running, for a destination.
func (f fixture) runningFor(t *testing.T, size int, to *export.Destination) (export.Export, export.Result, bucket.Sealed) {
	t.Helper()
	now := time.Now()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: export.Spec{Dataset: "users", Destination: to}, Token: "token",
		Status: export.Processing, Phase: export.Queued, CreatedAt: now, DueAt: now,
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e, err := f.Jobs.Claim(t.Context(), e, "worker", now)
	if err != nil {
		t.Fatal(err)
	}
	u := f.Buckets.For(e).NewUpload(t.Context(), bucket.Object{Key: e.Key(1), Token: e.Token, ContentType: "application/gzip"},
		func(context.Context, string) error { return nil })
	if _, err := u.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	sealed, err := u.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return e, export.Result{Rows: 1, Bytes: sealed.Size, CRC32: sealed.CRC32, Key: sealed.Key, UploadID: sealed.UploadID}, sealed
}

// want checks the export's state, and whether its object is there.
func (f fixture) want(t *testing.T, e export.Export, status export.Status, phase export.Phase, object bool) {
	t.Helper()
	got, err := f.Jobs.Get(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != status || got.Phase != phase {
		t.Errorf("status %s, phase %q; want %s, %q", got.Status, got.Phase, status, phase)
	}
	head, err := f.direct.For(e).Head(t.Context(), e.Key(1))
	if err != nil || head.Exists != object {
		t.Errorf("object is there: %v (%v), want %v", head.Exists, err, object)
	}
}

var sizes = map[string]int{"put": 100, "multipart": bucket.MinPartSize + 100}

func TestPublisher_Commit(t *testing.T) {
	for form, size := range sizes {
		t.Run(form, func(t *testing.T) {
			t.Run("undisturbed", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, sealed := f.running(t, size)
				if err := f.Commit(t.Context(), e, r, sealed); err != nil {
					t.Fatal(err)
				}
				f.want(t, e, export.Completed, "", true)
			})
			t.Run("answer lost", func(t *testing.T) {
				f := newFixture(t, lostAnswer)
				e, r, sealed := f.running(t, size)
				if err := f.Commit(t.Context(), e, r, sealed); err != nil {
					t.Fatal(err)
				}
				f.wantFired(t)
				f.want(t, e, export.Completed, "", true)
			})
			t.Run("request lost", func(t *testing.T) {
				f := newFixture(t, notReached)
				e, r, sealed := f.running(t, size)
				err := f.Commit(t.Context(), e, r, sealed)
				if err == nil || errors.Is(err, publish.ErrUnresolved) || export.CodeOf(err) != export.StorageUnavailable {
					t.Errorf("error %v, want code %s: it is known that nothing was published", err, export.StorageUnavailable)
				}
				f.wantFired(t)
				f.want(t, e, export.Processing, export.Finalizing, false)
			})
			t.Run("claim lost before", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, sealed := f.running(t, size)
				if _, err := f.Jobs.TakeOver(t.Context(), e, "other", time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				if err := f.Commit(t.Context(), e, r, sealed); export.CodeOf(err) != export.FenceLost {
					t.Errorf("error %v, want code %s", err, export.FenceLost)
				}
				f.want(t, e, export.Processing, export.Running, false)
			})
		})
	}
}

// An export that changes hands while its file is being published: what was
// cancelled leaves no file; what another settles keeps it.
func TestPublisher_Commit_lostWhilePublishing(t *testing.T) {
	for form, size := range sizes {
		t.Run(form, func(t *testing.T) {
			t.Run("cancelled", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, sealed := f.running(t, size)
				ctx, calledOff := context.WithCancel(t.Context())
				f.proxy.published = func() {
					current, err := f.Jobs.Get(t.Context(), e.ID)
					if err == nil {
						err = f.Jobs.Cancel(t.Context(), current, time.Now(), time.Hour)
					}
					if err != nil {
						t.Error(err)
					}
					calledOff() // as the worker's beat would
				}
				err := f.Commit(ctx, e, r, sealed)
				if export.CodeOf(err) != export.FenceLost || errors.Is(err, publish.ErrUnresolved) {
					t.Errorf("error %v, want code %s, and nothing left to settle", err, export.FenceLost)
				}
				f.want(t, e, export.Cancelled, "", false)
			})
			t.Run("taken over", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, sealed := f.running(t, size)
				f.proxy.published = func() {
					if _, err := f.takeOver(t, e); err != nil {
						t.Error(err)
					}
				}
				err := f.Commit(t.Context(), e, r, sealed)
				if export.CodeOf(err) != export.FenceLost || !errors.Is(err, publish.ErrUnresolved) {
					t.Errorf("error %v, want code %s and ErrUnresolved", err, export.FenceLost)
				}
				f.want(t, e, export.Processing, export.Finalizing, true)
			})
			t.Run("started over", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, sealed := f.running(t, size)
				f.proxy.published = func() {
					if err := f.startOver(t, e); err != nil {
						t.Error(err)
					}
				}
				if err := f.Commit(t.Context(), e, r, sealed); export.CodeOf(err) != export.FenceLost {
					t.Errorf("error %v, want code %s", err, export.FenceLost)
				}
				f.want(t, e, export.Processing, export.Finalizing, false)
			})
			t.Run("completed by another and deleted", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, sealed := f.running(t, size)
				f.proxy.published = func() {
					err := f.resume(t, e)
					if err == nil {
						err = f.Jobs.Delete(t.Context(), export.Export{ID: e.ID}, time.Now())
					}
					if err != nil {
						t.Error(err)
					}
				}
				if err := f.Commit(t.Context(), e, r, sealed); export.CodeOf(err) != export.FenceLost {
					t.Errorf("error %v, want code %s", err, export.FenceLost)
				}
				f.want(t, e, export.Deleted, "", false)
			})
			t.Run("its file removed", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, sealed := f.running(t, size)
				f.proxy.published = func() {
					if err := f.direct.For(e).Delete(t.Context(), r.Key); err != nil {
						t.Error(err)
					}
				}
				if err := f.Commit(t.Context(), e, r, sealed); !errors.Is(err, publish.ErrUnresolved) {
					t.Errorf("error %v, want ErrUnresolved: there is no file", err)
				}
			})
		})
	}
}

// takeOver takes the export over, as the sweeper does after a worker's death.
func (f fixture) takeOver(t *testing.T, e export.Export) (export.Export, error) {
	t.Helper()
	current, err := f.Jobs.Get(t.Context(), e.ID)
	if err != nil {
		return export.Export{}, err
	}
	return f.Jobs.TakeOver(t.Context(), current, "sweeper", time.Now().Add(time.Hour))
}

// startOver does what follows a worker's death while finalizing: the export is
// taken over, released and claimed, and its second attempt is finalizing.
func (f fixture) startOver(t *testing.T, e export.Export) error {
	t.Helper()
	current, err := f.takeOver(t, e)
	if err != nil {
		return err
	}
	if err := f.Jobs.Release(t.Context(), current, time.Now()); err != nil {
		return err
	}
	if current, err = f.Jobs.Get(t.Context(), e.ID); err != nil {
		return err
	}
	if current, err = f.Jobs.Claim(t.Context(), current, "second", time.Now()); err != nil {
		return err
	}
	return f.Jobs.Finalize(t.Context(), current, export.Result{Key: e.Key(2)})
}

// A worker that is given up wakes between the last look and the release: its
// record still names the file, so it leaves it.
func TestPublisher_Resume_publishedMeanwhile(t *testing.T) {
	f := newFixture(t, none)
	e, r, sealed := f.running(t, 100)
	if err := f.Jobs.Finalize(t.Context(), e, r); err != nil {
		t.Fatal(err)
	}
	f.proxy.missed = func() { // the HEAD said that there is no file
		if err := f.direct.For(e).Publish(t.Context(), sealed); err != nil {
			t.Error(err)
		}
	}
	taken, err := f.takeOver(t, e)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Resume(t.Context(), taken, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.want(t, e, export.Processing, export.Queued, false)
}

// A worker that can't find out what became of its file leaves it to Resume.
func TestPublisher_Resume(t *testing.T) {
	for form, size := range sizes {
		t.Run(form, func(t *testing.T) {
			t.Run("file is there", func(t *testing.T) {
				f := newFixture(t, noHead)
				e, r, sealed := f.running(t, size)
				if err := f.Commit(t.Context(), e, r, sealed); !errors.Is(err, publish.ErrUnresolved) {
					t.Errorf("error %v, want ErrUnresolved", err)
				}
				f.wantFired(t)
				if err := f.resume(t, e); err != nil {
					t.Fatal(err)
				}
				f.want(t, e, export.Completed, "", true)
			})
			t.Run("file is not there", func(t *testing.T) {
				f := newFixture(t, none)
				e, r, _ := f.running(t, size)
				if err := f.Jobs.Finalize(t.Context(), e, r); err != nil { // and the worker dies
					t.Fatal(err)
				}
				if err := f.resume(t, e); err != nil {
					t.Fatal(err)
				}
				f.want(t, e, export.Processing, export.Queued, false)
				if open, err := f.direct.For(e).OpenUploads(t.Context(), e.KeyPrefix()); err != nil || len(open) != 0 {
					t.Errorf("open uploads %v (%v), want none", open, err)
				}
			})
		})
	}
	t.Run("another's object is there", func(t *testing.T) {
		f := newFixture(t, none)
		e, r, sealed := f.running(t, 100)
		if err := f.Buckets.For(e).Publish(t.Context(), sealed); err != nil {
			t.Fatal(err)
		}
		r.Bytes++
		if err := f.Commit(t.Context(), e, r, sealed); !errors.Is(err, publish.ErrUnresolved) || export.CodeOf(err) != export.StorageRejected {
			t.Errorf("error %v, want ErrUnresolved with code %s", err, export.StorageRejected)
		}
		f.want(t, e, export.Processing, export.Finalizing, true)
		if err := f.resume(t, e); export.CodeOf(err) != export.StorageRejected {
			t.Errorf("resume: error %v, want code %s", err, export.StorageRejected)
		}
		f.want(t, e, export.Failed, "", true)
	})
}

func (f fixture) wantFired(t *testing.T) {
	t.Helper()
	if f.proxy.fired.Load() == 0 {
		t.Error("the fault did not fire")
	}
}

// resume takes the export over, past the fault, and resumes its commit.
func (f fixture) resume(t *testing.T, e export.Export) error {
	t.Helper()
	f.Publisher.Buckets = f.direct
	taken, err := f.takeOver(t, e)
	if err != nil {
		t.Fatal(err)
	}
	return f.Resume(t.Context(), taken, time.Now())
}
