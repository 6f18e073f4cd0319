package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"csvexport/internal/eventbus"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/webhook"
)

// Receivers are who is told, beside the webhooks of an export's owner.
type Receivers struct {
	Bus *eventbus.Bus // nil for none
	// Sender sends to URLs, which are told of all exports, and to the owners'
	// webhooks.
	Sender *webhook.Sender
	URLs   []string
	// Secrets returns what webhooks to URLs are signed with; nil where there are
	// none.
	Secrets func(ctx context.Context) (webhook.Secrets, error)
}

// target is one of those who must be told of an export.
type target struct {
	deliver func(ctx context.Context) error
	// disable keeps that the receiver is gone; nil for the bus.
	disable func(ctx context.Context, now time.Time) error
	// tell lets an owner see why their webhook wasn't reached; nil for others.
	tell func(ctx context.Context, f export.DeliveryFailure) error
}

// show lets the webhook's owner, if it is one, see why an attempt failed.
func (t target) show(ctx context.Context, log *slog.Logger, err error, now time.Time) {
	f, ok := errors.AsType[*webhook.Failure](err)
	if !ok || t.tell == nil {
		return
	}
	if err := t.tell(ctx, export.DeliveryFailure{At: now, Message: f.Reason}); err != nil {
		log.WarnContext(ctx, "failure not shown to the webhook's owner", "error", err)
	}
}

// failed does what an attempt's error asks for, and reports whether the
// receiver is gone and how long it wants to be left alone.
func (t target) failed(ctx context.Context, log *slog.Logger, err error, now time.Time) (gone bool, retryAfter time.Duration) {
	f, ok := errors.AsType[*webhook.Failure](err)
	if !ok {
		return false, 0
	}
	if !f.Gone || t.disable == nil {
		return false, f.RetryAfter
	}
	if err := t.disable(ctx, now); err != nil { // the next attempt hears the same
		log.WarnContext(ctx, "receiver not disabled", "error", err)
		return false, f.RetryAfter
	}
	return true, 0
}

// of returns who must be told of an export, by their names in its notice.
func (r Receivers) of(ctx context.Context, store *jobs.Store, e export.Export, n export.Notice) (map[string]target, error) {
	targets := map[string]target{}
	if r.Bus != nil {
		targets["bus"] = target{deliver: func(ctx context.Context) error {
			ev, err := event(e, n)
			if err != nil {
				return err
			}
			return r.Bus.Put(ctx, ev)
		}}
	}
	for _, address := range r.URLs {
		name := hash(address + "\n" + strings.Join(r.URLs, ","))
		since, err := store.GoneSince(ctx, name)
		if err != nil {
			return nil, err
		}
		if !since.IsZero() {
			continue
		}
		targets["setting "+hash(address)] = target{
			deliver: func(ctx context.Context) error {
				secrets, err := r.Secrets(ctx)
				if err != nil {
					return err
				}
				return r.send(ctx, address, secrets, e, n)
			},
			disable: func(ctx context.Context, now time.Time) error { return store.SetGone(ctx, name, now) },
		}
	}
	hooks, err := store.Webhooks(ctx, e.Owner)
	for _, h := range hooks {
		if h.DisabledAt.IsZero() {
			targets["webhook "+h.ID] = r.webhook(store, h, e, n)
		}
	}
	return targets, err
}

func (r Receivers) webhook(store *jobs.Store, h export.Webhook, e export.Export, n export.Notice) target {
	update := func(ctx context.Context, change func(h *export.Webhook)) error {
		return store.UpdateWebhooks(ctx, e.Owner, func(other *export.Webhook) {
			if other.ID == h.ID {
				change(other)
			}
		})
	}
	return target{
		deliver: func(ctx context.Context) error {
			secrets, err := webhook.ParseSecrets(h.Secret)
			if err != nil {
				return err
			}
			return r.send(ctx, h.URL, secrets, e, n)
		},
		disable: func(ctx context.Context, now time.Time) error {
			return update(ctx, func(h *export.Webhook) { h.DisabledAt = now })
		},
		tell: func(ctx context.Context, f export.DeliveryFailure) error {
			return update(ctx, func(h *export.Webhook) { h.LastFailure = &f })
		},
	}
}

func (r Receivers) send(ctx context.Context, address string, secrets webhook.Secrets, e export.Export, n export.Notice) error {
	m, err := message(e, n)
	if err != nil {
		return err
	}
	return r.Sender.Send(ctx, address, secrets, m)
}

// hash names an address without telling it: it may hold a secret of the
// receiver's.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
