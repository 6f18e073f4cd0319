package jobs_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/servertest"
)

func newExport(owner string) export.Export {
	return export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: owner, Spec: export.Spec{Dataset: "users"}, Token: "token",
		DatasetFingerprint: "fingerprint", Status: export.Processing, Phase: export.Queued,
		CreatedAt: now, DueAt: now.Add(time.Minute),
	}
}

// admitAll admits n exports at once and returns those that were, and the
// codes of the refusals with how often each came.
func (f fixture) admitAll(t *testing.T, n int, owner string, a jobs.Admission) ([]export.Export, map[export.Code]int) {
	t.Helper()
	var mu sync.Mutex
	var admitted []export.Export
	refused := map[export.Code]int{}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			e, err := f.Admit(t.Context(), newExport(owner), a, now)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused[export.CodeOf(err)]++
				return
			}
			admitted = append(admitted, e)
		})
	}
	all.Wait()
	return admitted, refused
}

func TestStore_Admit_quota(t *testing.T) {
	for name, quota := range map[string]jobs.Quota{"active": {Active: 7}, "creates in a minute": {PerMinute: 7}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			admitted, refused := f.admitAll(t, 60, "anna", jobs.Admission{Quota: quota})
			if len(admitted) != 7 || refused[export.TooManyExports] != 53 {
				t.Errorf("%d admitted, refused %v; want 7, and 53 too many", len(admitted), refused)
			}
			if n := f.item(t, "owner#anna", "quota")["active"]; n != 7.0 {
				t.Errorf("%v active exports are counted", n)
			}
			if _, err := f.Admit(t.Context(), newExport("bert"), jobs.Admission{Quota: quota}, now); err != nil {
				t.Errorf("another owner: %v", err)
			}
		})
	}
}

// An export that is done makes room, and the next minute is a new one.
func TestStore_Admit_quotaFrees(t *testing.T) {
	f := newFixture(t)
	one := jobs.Admission{Quota: jobs.Quota{Active: 1}}
	e, err := f.Admit(t.Context(), newExport("anna"), one, now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Admit(t.Context(), newExport("anna"), one, now)
	wantCode(t, "second export", err, export.TooManyExports)
	if err := f.Cancel(t.Context(), e, now, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err = f.Admit(t.Context(), newExport("anna"), one, now); err != nil {
		t.Errorf("after a cancel: %v", err)
	}

	minute := jobs.Admission{Quota: jobs.Quota{PerMinute: 1}}
	at := now.Truncate(time.Minute).Add(20 * time.Second)
	if _, err := f.Admit(t.Context(), newExport("bert"), minute, at); err != nil {
		t.Fatal(err)
	}
	_, err = f.Admit(t.Context(), newExport("bert"), minute, at)
	wantCode(t, "second create in a minute", err, export.TooManyExports)
	if e, ok := errors.AsType[*export.Error](err); !ok || e.RetryAfter != 40*time.Second {
		t.Errorf("error %+v, want one that says to try again after 40 s", err)
	}
	if _, err := f.Admit(t.Context(), newExport("bert"), minute, at.Add(40*time.Second)); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestStore_Admit_sameKey(t *testing.T) {
	f := newFixture(t)
	a := jobs.Admission{Key: "order-7", Request: "all users", Quota: jobs.Quota{Active: 1, PerMinute: 1}}
	admitted, refused := f.admitAll(t, 50, "anna", a)
	if len(admitted) != 50 {
		t.Fatalf("%d answered, refused %v", len(admitted), refused)
	}
	for _, e := range admitted {
		if e.ID != admitted[0].ID {
			t.Fatal("one key made two exports")
		}
	}
	if diff := cmp.Diff(admitted[0], f.get(t, admitted[0].ID)); diff != "" {
		t.Errorf("the answered export (-answered +stored):\n%s", diff)
	}
	if n := f.item(t, "owner#anna", "quota")["active"]; n != 1.0 {
		t.Errorf("%v active exports are counted, want 1", n)
	}

	other := a
	other.Request = "all orders"
	_, err := f.Admit(t.Context(), newExport("anna"), other, now)
	wantCode(t, "another request", err, export.IdempotencyMismatch)
	if _, err := f.Admit(t.Context(), newExport("bert"), other, now); err != nil {
		t.Errorf("another owner's same key: %v", err)
	}
	// As if owner and key were only put one after the other.
	if e, err := f.Admit(t.Context(), newExport("anna"+"order"), jobs.Admission{Key: "-7", Request: "all users"}, now); err != nil || e.ID == admitted[0].ID {
		t.Errorf("a key that is built to collide: export %s, %v", e.ID, err)
	}
	later := now.Add(jobs.KeyTTL + time.Minute)
	if e, err := f.Admit(t.Context(), newExport("anna"), jobs.Admission{Key: a.Key, Request: "all orders"}, later); err != nil || e.ID == admitted[0].ID {
		t.Errorf("a day later: export %s, %v; want a new one", e.ID, err)
	}
}

func TestStore_Admit_busy(t *testing.T) {
	f := newFixture(t)
	url, fired := servertest.Busy(t, "TransactionConflict", math.MaxInt64)
	f.Store = jobs.New(servertest.AWSAt(t, url), f.table)
	for key, want := range map[string]export.Code{"": export.Unavailable, "order-7": export.IdempotencyInProgress} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := f.Admit(ctx, newExport("anna"), jobs.Admission{Key: key, Request: "all users"}, now)
		cancel()
		wantCode(t, "create with the key "+key, err, want)
	}
	if fired.Load() < 4 {
		t.Errorf("%d transactions: a busy one wasn't repeated", fired.Load())
	}
}

// A transaction that wasn't done for want of capacity, or for another one, is
// tried again, whatever it is for.
func TestStore_transactionsTriedAgain(t *testing.T) {
	for _, reason := range []string{"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"} {
		f := newFixture(t)
		url, fired := servertest.Busy(t, reason, 3)
		f.Store = jobs.New(servertest.AWSAt(t, url), f.table)
		e, err := f.Admit(t.Context(), newExport("anna"), jobs.Admission{Key: "k"}, now)
		if err != nil || fired.Load() != 4 {
			t.Errorf("%s: create: %v after %d transactions", reason, err, fired.Load())
			continue
		}
		if _, err := f.Claim(t.Context(), e, "worker", now); err != nil {
			t.Errorf("%s: claim: %v", reason, err)
		}
	}
}

func TestStore_Ahead(t *testing.T) {
	f := newFixture(t)
	var queue []export.Export
	for i := range 4 {
		e := newExport([]string{"anna", "bert"}[i%2])
		e.CreatedAt = now.Add(time.Duration(i) * time.Second)
		if err := f.Create(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		queue = append(queue, e)
	}
	ahead := func(want ...int) {
		t.Helper()
		for i, e := range queue {
			if got, err := f.Ahead(t.Context(), e); err != nil || want[i] >= 0 && got != want[i] {
				t.Errorf("export %d: %d ahead, %v; want %d", i, got, err, want[i])
			}
		}
	}
	ahead(0, 1, 2, 3)
	first := f.claim(t, queue[0], now)
	if err := f.Cancel(t.Context(), queue[2], now, time.Hour); err != nil {
		t.Fatal(err)
	}
	ahead(-1, 0, -1, 1)
	if err := f.Release(t.Context(), first, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	ahead(0, 1, -1, 2)
}
