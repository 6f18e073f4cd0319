// Package notify tells of exports that came to their end: the event bus, the
// addresses in the settings, and the webhooks of the export's owner.
//
// What is to be told stands in the export's notice, which is there from the
// moment on in which the export is done (package jobs). It is claimed before
// anything is sent and written afterwards, so each is told at least once
// whatever crashes in between, and every time with the same id.
package notify

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/metrics"
	"csvexport/internal/queue"
)

// recordTimeout bounds what is written after the deliveries: together with an
// attempt's time and what is read before, it fits into export.NoticeLease.
const recordTimeout = 20 * time.Second

// Notifier tells of exports' ends. All fields but those of Receivers are
// required.
type Notifier struct {
	Jobs      *jobs.Store
	Queue     *queue.Queue // of its own messages
	Receivers Receivers
}

// Notify tells whoever must be told now of the end of an export. It returns nil
// when a message about it has served its purpose, whatever became of the
// deliveries: later ones don't depend on it. An error means that the state
// couldn't be read or written.
func (n *Notifier) Notify(ctx context.Context, id string) error {
	notice, err := n.Jobs.Notice(ctx, id)
	now := time.Now()
	if err != nil || notice.LeaseUntil.After(now) {
		return ignore(err, export.NotFound) // nothing to be told, or somebody is at it
	}
	e, err := n.Jobs.Get(ctx, id)
	if export.CodeOf(err) == export.NotFound { // it outlived its record, whose time is the same
		notice.Deliveries = nil
		return ignore(n.Jobs.RecordNotice(ctx, notice), export.FenceLost)
	}
	if err != nil {
		return err
	}
	t := &telling{Notifier: n, export: e, notice: notice, log: slog.With(e.LogAttrs()...).With("owner", e.Owner, "eventId", notice.EventID())}
	if t.targets, err = n.Receivers.of(ctx, n.Jobs, e, notice); err != nil {
		return err
	}
	due, changed := t.due(ctx, now)
	switch {
	case len(t.notice.Deliveries) == 0: // nobody, or nobody any more
		return ignore(n.Jobs.RecordNotice(ctx, t.notice), export.FenceLost)
	case len(due) == 0 && !changed: // a message too many
		return nil
	}
	if t.notice, err = n.Jobs.ClaimNotice(ctx, t.notice, now); err != nil {
		return ignore(err, export.Conflict)
	}
	t.deliver(ctx, due)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err = t.record(ctx)
	for _, show := range t.shows { // when all is recorded: it is for looking at only
		show(ctx)
	}
	return err
}

// telling is one Notify under way.
type telling struct {
	*Notifier
	export  export.Export
	notice  export.Notice
	targets map[string]target
	log     *slog.Logger
	shows   []func(ctx context.Context) // what owners may see of failures
}

// due returns the names of those to whom an attempt is due now, and counts it.
// The first time it finds out who must be told; later it drops who needn't be
// any more, and reports whether it did.
func (t *telling) due(ctx context.Context, now time.Time) (names []string, changed bool) {
	open := map[string]export.Delivery{}
	if t.notice.Deliveries == nil {
		for name := range t.targets {
			open[name] = export.Delivery{Next: now}
		}
	}
	for name, d := range t.notice.Deliveries {
		open[name] = d
	}
	for name, d := range open {
		_, there := t.targets[name]
		isDue := !d.Next.After(now)
		switch {
		case !there:
			t.log.InfoContext(ctx, "delivery dropped: its receiver is gone", "target", name)
			delete(open, name)
			changed = true
		case isDue && d.Attempts >= len(delays): // it died in the last one
			t.giveUp(ctx, name, d.Attempts)
			delete(open, name)
			changed = true
		case isDue:
			d.Attempts++
			open[name] = d
			names = append(names, name)
		}
	}
	slices.Sort(names)
	t.notice.Deliveries = open
	return names, changed
}

// deliver makes one attempt at each of the targets, at the same time, so that
// none waits for another's answer, and notes what came of it.
func (t *telling) deliver(ctx context.Context, names []string) {
	results := make([]error, len(names))
	var all errgroup.Group
	for i, name := range names {
		all.Go(func() error {
			results[i] = t.targets[name].deliver(ctx)
			return nil
		})
	}
	_ = all.Wait() // the results tell
	for i, name := range names {
		d := t.notice.Deliveries[name]
		log := t.log.With("target", name, "attempts", d.Attempts)
		if results[i] == nil {
			log.InfoContext(ctx, "event delivered")
			metrics.Emit(ctx, log, metrics.Count(metrics.Delivered))
			delete(t.notice.Deliveries, name)
			continue
		}
		t.failed(ctx, log, name, d, results[i])
	}
}

// failed decides when to try again.
func (t *telling) failed(ctx context.Context, log *slog.Logger, name string, d export.Delivery, err error) {
	now := time.Now()
	gone, retryAfter := t.targets[name].failed(ctx, log, err, now)
	next, again := nextAttempt(d.Attempts, now, retryAfter)
	metrics.Emit(ctx, log, metrics.Count(metrics.DeliveryFailure))
	t.shows = append(t.shows, func(ctx context.Context) { t.targets[name].show(ctx, log, err, now) })
	switch {
	case gone:
		log.WarnContext(ctx, "receiver is gone, and disabled", "error", err)
		delete(t.notice.Deliveries, name)
	case again:
		log.WarnContext(ctx, "delivery failed, will be tried again", "error", err, "nextAt", next)
		d.Next = next
		t.notice.Deliveries[name] = d
	default:
		log.WarnContext(ctx, "delivery failed", "error", err)
		t.giveUp(ctx, name, d.Attempts)
		delete(t.notice.Deliveries, name)
	}
}

func (t *telling) giveUp(ctx context.Context, name string, attempts int) {
	log := t.log.With("target", name, "attempts", attempts)
	log.ErrorContext(ctx, "delivery given up")
	metrics.Emit(ctx, log, metrics.Count(metrics.DeliveryGivenUp))
}

// record writes what came of the deliveries. The next one comes by a message,
// or where that can't wait so long by the sweep, which also comes when the
// message is lost.
func (t *telling) record(ctx context.Context) error {
	next := t.notice.Next()
	wait := time.Until(next)
	byMessage := wait <= queue.MaxDelay
	t.notice.DueAt = next
	if byMessage {
		t.notice.DueAt = next.Add(export.NoticeGrace)
	}
	if err := t.Jobs.RecordNotice(ctx, t.notice); err != nil {
		return ignore(err, export.FenceLost)
	}
	if len(t.notice.Deliveries) == 0 || !byMessage {
		return nil
	}
	delay := max(wait, 0).Truncate(time.Second) + time.Second // SQS has whole seconds; it must not be early
	if err := t.Queue.Send(ctx, t.notice.Owner, queue.Message{ExportID: t.export.ID, Traceparent: t.export.Traceparent}, delay); err != nil {
		t.log.WarnContext(ctx, "message not sent, left to the sweeper", "error", err)
	}
	return nil
}

func ignore(err error, code export.Code) error {
	if err != nil && export.CodeOf(err) == code {
		return nil
	}
	return err
}
