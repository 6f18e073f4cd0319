package jobs_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
)

func TestStore_Webhooks(t *testing.T) {
	f := newFixture(t)
	hooks := func(owner string) []export.Webhook {
		t.Helper()
		hooks, err := f.Webhooks(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		return hooks
	}
	if err := f.RemoveWebhook(t.Context(), "anna", "1"); err != nil || len(hooks("anna")) != 0 {
		t.Errorf("remove of none: %v", err)
	}
	one := export.Webhook{ID: "1", URL: "https://a.example", Secret: "s", CreatedAt: now}
	two := export.Webhook{
		ID: "2", URL: "https://b.example", Description: "d", Secret: "t", CreatedAt: now, DisabledAt: now,
		LastFailure: &export.DeliveryFailure{At: now, Message: "no"},
	}
	for _, h := range []export.Webhook{one, two, two} { // the last as a repeated request
		if err := f.AddWebhook(t.Context(), "anna", h); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]export.Webhook{one, two}, hooks("anna")); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if err := f.UpdateWebhooks(t.Context(), "anna", func(h *export.Webhook) {
		if h.ID == "1" {
			h.DisabledAt = now
		}
	}); err != nil {
		t.Fatal(err)
	}
	if got := hooks("anna"); !got[0].DisabledAt.Equal(now) {
		t.Errorf("not disabled: %+v", got[0])
	}
	for range 2 {
		if err := f.RemoveWebhook(t.Context(), "bert", "1"); err != nil || len(hooks("anna")) != 2 {
			t.Errorf("another owner's remove: %v, %d left", err, len(hooks("anna")))
		}
	}
	if err := f.RemoveWebhook(t.Context(), "anna", "1"); err != nil || len(hooks("anna")) != 1 {
		t.Errorf("remove: %v, %d left", err, len(hooks("anna")))
	}
}

// The bound holds however many come at once, and none gets lost.
func TestStore_AddWebhook_atOnce(t *testing.T) {
	f := newFixture(t)
	var all sync.WaitGroup
	errs := make([]error, 2*export.MaxWebhooks)
	for i := range errs {
		all.Go(func() {
			errs[i] = f.AddWebhook(t.Context(), "anna", export.Webhook{ID: strconv.Itoa(i), URL: "https://hooks.example.com/" + strconv.Itoa(i), CreatedAt: now})
		})
	}
	all.Wait()
	added := map[string]bool{}
	for i, err := range errs {
		if err == nil {
			added[strconv.Itoa(i)] = true
		} else {
			wantCode(t, "one too many", err, export.Forbidden)
		}
	}
	hooks, err := f.Webhooks(t.Context(), "anna")
	if err != nil || len(hooks) != export.MaxWebhooks || len(added) != export.MaxWebhooks {
		t.Fatalf("%d webhooks, %d added (%v), want %d", len(hooks), len(added), err, export.MaxWebhooks)
	}
	for _, h := range hooks {
		if !added[h.ID] {
			t.Errorf("webhook %s is there and was refused", h.ID)
		}
	}
}

func TestStore_SetGone(t *testing.T) {
	f := newFixture(t)
	if at, err := f.GoneSince(t.Context(), "x"); err != nil || !at.IsZero() {
		t.Errorf("gone since %v (%v)", at, err)
	}
	if err := f.SetGone(t.Context(), "x", now); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]time.Time{"x": now, "y": {}} {
		if at, err := f.GoneSince(t.Context(), name); err != nil || !at.Equal(want) {
			t.Errorf("%s: gone since %v (%v), want %v", name, at, err, want)
		}
	}
}

// A URL is told twice at most: while its secret is being replaced.
func TestStore_AddWebhook_sameURL(t *testing.T) {
	f := newFixture(t)
	for i, want := range []export.Code{"", "", export.Forbidden} {
		err := f.AddWebhook(t.Context(), "anna", export.Webhook{ID: strconv.Itoa(i), URL: "https://hooks.example.com/", CreatedAt: now})
		if want == "" && err != nil || want != "" && export.CodeOf(err) != want {
			t.Errorf("registration %d: %v", i+1, err)
		}
	}
	if err := f.AddWebhook(t.Context(), "bert", export.Webhook{ID: "3", URL: "https://hooks.example.com/", CreatedAt: now}); err != nil {
		t.Errorf("another owner's: %v", err)
	}
}
