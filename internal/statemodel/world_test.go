package statemodel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/uuid"

	"csvexport/internal/bucket"
	"csvexport/internal/eventbus"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/notify"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/sweeper"
	"csvexport/internal/webhook"
)

const (
	content     = "a file"
	exportToken = "token"
	owner       = "anonymous"
	fileTTL     = time.Hour

	noticesQueue = "/notices"
	receiver     = "http://receiver/hook"
)

// targets are who must be told of each export, by their names in a notice: the
// bus, and the receiver that the settings name.
var targets = map[string]string{"bus": "bus", "receiver": "setting 47f0eebae2b9d2cc"}

// world is all that there is: services, and actors who use them.
type world struct {
	services *services
	exports  []string
	actors   []*actor

	mu      sync.Mutex // for what actors and the test both look at
	problem error      // the first

	seen      map[string]state // of the exports, as it was last
	cancelled map[string]bool  // by an answered DELETE
	epoch     map[string]int   // of each export: grows with every change of who may write
}

func newWorld() *world {
	w := &world{services: newServices(), seen: map[string]state{}, cancelled: map[string]bool{}, epoch: map[string]int{}}
	w.services.table.wrote = func(before, after record) {
		if before["fence"]["N"] != after["fence"]["N"] {
			w.turn(idOf(after))
		}
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.problem == nil {
		w.problem = fmt.Errorf(format, args...)
	}
}

// found is the first problem; nil if there is none.
func (w *world) found() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}

// turn begins a new epoch of an export: who could write to it can't any more.
func (w *world) turn(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch[id]++
}

func (w *world) epochOf(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.epoch[id]
}

// holds sets, or returns, what a worker has claimed.
func (w *world) holds(a *actor, e *export.Export) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.claimed = e
}

func (w *world) held(a *actor) *export.Export {
	w.mu.Lock()
	defer w.mu.Unlock()
	return a.claimed
}

// actor is somebody who sends requests: a worker, a sweep, or a DELETE.
type actor struct {
	name    string
	gate    *gate
	jobs    *jobs.Store
	bucket  *bucket.Buckets
	queue   *queue.Queue
	publish *publish.Publisher
	notify  *notify.Notifier

	done    chan struct{}
	crashed bool
	cancel  context.CancelFunc

	claimed *export.Export // of a worker, while it may write
}

func (w *world) newActor(name string) *actor {
	a := &actor{
		name: name, done: make(chan struct{}),
		gate: &gate{services: w.services, verdicts: make(chan verdict), open: make(chan struct{}), dead: make(chan struct{})},
	}
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://services"), HTTPClient: a.gate, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	}
	a.jobs, a.bucket, a.queue = jobs.New(cfg, "table"), bucket.NewBuckets(cfg, "bucket", ""), queue.New(cfg, "http://services/queue")
	notices := queue.New(cfg, "http://services"+noticesQueue)
	a.publish = &publish.Publisher{Jobs: a.jobs, Buckets: a.bucket, Notices: notices, FileTTL: fileTTL}
	a.notify = &notify.Notifier{Jobs: a.jobs, Queue: notices, Receivers: notify.Receivers{
		Bus: eventbus.New(cfg, "bus"), Sender: webhook.NewSenderOver(webhook.Any, a.gate), URLs: []string{receiver},
		Secrets: func(context.Context) (webhook.Secrets, error) { return webhook.ParseSecrets(webhook.NewSecret()) },
	}}
	return a
}

// start has an actor work, with its requests held.
func (w *world) start(a *actor, work func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	w.actors = append(w.actors, a)
	go func() {
		defer close(a.done)
		defer cancel()
		work(ctx)
	}()
	synctest.Wait()
}

// at has an actor work whose requests pass.
func (w *world) at(name string, work func(ctx context.Context, a *actor)) {
	a := w.newActor(name)
	close(a.gate.open)
	work(context.Background(), a)
}

// working are the actors who have something left to do.
func (w *world) working() (actors []*actor) {
	for _, a := range w.actors {
		select {
		case <-a.done:
		default:
			if !a.crashed {
				actors = append(actors, a)
			}
		}
	}
	return actors
}

// step lets an actor's request meet its fate, and waits for its next one.
func (w *world) step(a *actor, v verdict) {
	select {
	case a.gate.verdicts <- v:
	default: // it waits for time to pass, between two tries
	}
	synctest.Wait()
	w.look()
}

// crash ends an actor: nothing that it does arrives any more.
func (w *world) crash(a *actor) {
	a.crashed = true
	close(a.gate.dead)
	a.cancel()
	synctest.Wait()
}

func (w *world) create() {
	w.at("create", func(ctx context.Context, a *actor) {
		e := export.Export{
			ID: uuid.Must(uuid.NewV7()).String(), Owner: owner, Spec: export.Spec{Dataset: "users"}, Token: exportToken,
			Status: export.Processing, Phase: export.Queued, CreatedAt: time.Now().UTC(), DueAt: time.Now().Add(time.Minute),
		}
		if err := a.jobs.Create(ctx, e); err != nil {
			w.fail("create: %v", err)
			return
		}
		w.exports = append(w.exports, e.ID)
	})
}

// work is what run-export does with a message, without the database.
func (w *world) work(a *actor, id string) func(ctx context.Context) {
	return func(ctx context.Context) {
		e, err := a.jobs.Get(ctx, id)
		if err != nil || e.Spent() {
			return
		}
		if e, err = a.jobs.Claim(ctx, e, a.name, time.Now()); err != nil {
			return
		}
		w.holds(a, &e)
		epoch := w.epochOf(id)
		err = w.attempt(ctx, a, e, func(did string) {
			if w.epochOf(id) != epoch {
				w.fail("%s, who lost its claim, could %s", a.name, did)
			}
		})
		w.holds(a, nil)
		if err != nil && !errors.Is(err, publish.ErrUnresolved) && export.CodeOf(err) != export.FenceLost {
			_ = a.jobs.Release(context.WithoutCancel(ctx), e, time.Now().Add(time.Minute)) // else the sweep finds it
		}
	}
}

func (w *world) attempt(ctx context.Context, a *actor, e export.Export, did func(string)) error {
	if err := a.jobs.RecordSnapshot(ctx, e, export.Snapshot{AsOf: time.Now(), Order: export.ByKey}); err != nil {
		return err
	}
	did("record its snapshot")
	if err := a.jobs.RecordUpload(ctx, e, "upload"); err != nil {
		return err
	}
	did("record its upload")
	upload := a.bucket.For(e).NewUpload(ctx, bucket.Object{Key: e.Key(e.Attempt), Token: e.Token}, func(context.Context, string) error { return nil })
	if _, err := upload.Write([]byte(content)); err != nil {
		return err
	}
	sealed, err := upload.Seal()
	if err != nil {
		return err
	}
	err = a.publish.Commit(ctx, e, export.Result{Rows: 1, Bytes: sealed.Size, CRC32: sealed.CRC32, Key: sealed.Key}, sealed)
	if err == nil {
		did("complete its export")
	}
	return err
}

// beat renews a worker's lease; one that lost its claim stops.
func (w *world) beat(a *actor) {
	e := *w.held(a)
	w.at(a.name, func(ctx context.Context, honest *actor) {
		switch err := honest.jobs.Beat(ctx, e, export.Progress{}, time.Now()); {
		case export.CodeOf(err) == export.FenceLost:
			a.cancel()
		case err != nil:
			w.fail("beat: %v", err)
		}
	})
	synctest.Wait()
}

// remove is what DELETE does.
func (w *world) remove(a *actor, id string) func(ctx context.Context) {
	return func(ctx context.Context) {
		e, err := a.jobs.Get(ctx, id)
		if err != nil {
			return
		}
		switch e.Status {
		case export.Processing:
			if a.jobs.Cancel(ctx, e, time.Now(), fileTTL) == nil {
				w.mu.Lock()
				w.cancelled[id] = true
				w.mu.Unlock()
				w.turn(id)
				a.publish.Notices.Announce(ctx, e)
			}
		case export.Completed:
			if a.jobs.Delete(ctx, e, time.Now()) == nil {
				_ = a.bucket.For(e).Delete(ctx, e.Result.Key)
			}
		default:
		}
	}
}

// tell is what notify does with a message.
func (w *world) tell(a *actor, id string) func(ctx context.Context) {
	return func(ctx context.Context) { _ = a.notify.Notify(ctx, id) } // else the sweep has it done
}

func (w *world) sweep(a *actor, id string) func(ctx context.Context) {
	return func(ctx context.Context) {
		s := &sweeper.Sweeper{Jobs: a.jobs, Queue: a.queue, Buckets: a.bucket, Publisher: a.publish, Worker: a.name}
		_ = s.Repair(ctx, id) // the next sweep comes
	}
}
