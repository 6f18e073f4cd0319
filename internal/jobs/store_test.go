package jobs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/servertest"
)

var now = time.Now().UTC().Truncate(time.Millisecond)

type fixture struct {
	*jobs.Store
	table string
	items *dynamodb.Client // to look at the items without the store
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	table := servertest.Table(t)
	cfg := servertest.AWS(t)
	return fixture{Store: jobs.New(cfg, table), table: table, items: dynamodb.NewFromConfig(cfg)}
}

func (f fixture) create(t *testing.T) export.Export {
	t.Helper()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: export.Spec{Dataset: "users"}, Token: "token",
		DatasetFingerprint: "fingerprint", Status: export.Processing, Phase: export.Queued,
		CreatedAt: now, DueAt: now.Add(time.Minute),
	}
	if err := f.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (f fixture) get(t *testing.T, id string) export.Export {
	t.Helper()
	e, err := f.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (f fixture) claim(t *testing.T, e export.Export, at time.Time) export.Export {
	t.Helper()
	e, err := f.Claim(t.Context(), e, "worker", at)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// item reads an item as it stands in the table.
func (f fixture) item(t *testing.T, pk, sk string) map[string]any {
	t.Helper()
	out, err := f.items.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &f.table, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	item := map[string]any{}
	if err := attributevalue.UnmarshalMap(out.Item, &item); err != nil {
		t.Fatal(err)
	}
	return item
}

func wantCode(t *testing.T, doing string, err error, want export.Code) {
	t.Helper()
	if err == nil || export.CodeOf(err) != want {
		t.Errorf("%s: error %v, want code %s", doing, err, want)
	}
}

func TestStore_CreateAndGet(t *testing.T) {
	f := newFixture(t)
	e := f.create(t)
	if diff := cmp.Diff(e, f.get(t, e.ID)); diff != "" {
		t.Errorf("read back (-created +read):\n%s", diff)
	}
	wantCode(t, "create again", f.Create(t.Context(), e), export.Conflict)
	if got := f.item(t, "owner#anonymous", "quota")["active"]; got != 1.0 {
		t.Errorf("owner's active exports = %v, want 1", got)
	}
	_, err := f.Get(t.Context(), uuid.NewString())
	wantCode(t, "get unknown", err, export.NotFound)
}

// The names and forms in the table are data formats: other versions of the
// program read them.
func TestStore_Items(t *testing.T) {
	f := newFixture(t)
	e := f.create(t)
	want := map[string]any{
		"pk": "export#" + e.ID, "sk": "job", "v": 1.0, "exportId": e.ID, "owner": "anonymous", "spec": `{"dataset":"users"}`,
		"token": "token", "datasetFingerprint": "fingerprint", "status": "processing", "phase": "queued", "attempt": 0.0, "sends": 0.0,
		"createdAt": now.Format("2006-01-02T15:04:05.000Z"),
		"dueShard":  "0", "dueAt": now.Add(time.Minute).Format("2006-01-02T15:04:05.000Z"), "queueShard": "0",
	}
	if diff := cmp.Diff(want, f.item(t, "export#"+e.ID, "job")); diff != "" {
		t.Errorf("job item (-want +got):\n%s", diff)
	}
	claimed := f.claim(t, e, now)
	total := int64(100)
	if err := f.Beat(t.Context(), claimed, export.Progress{TotalRows: &total, ProcessedRows: 40, RowsPerSecond: 7}, now); err != nil {
		t.Fatal(err)
	}
	if err := f.RecordUpload(t.Context(), claimed, "upload"); err != nil {
		t.Fatal(err)
	}
	want = map[string]any{
		"pk": "export#" + e.ID, "sk": "run", "fence": 1.0, "worker": "worker",
		"lease":     now.Add(20 * time.Second).Format("2006-01-02T15:04:05.000Z"),
		"totalRows": 100.0, "processedRows": 40.0, "rowsPerSecond": 7.0, "uploadId": "upload",
	}
	if diff := cmp.Diff(want, f.item(t, "export#"+e.ID, "run")); diff != "" {
		t.Errorf("run item (-want +got):\n%s", diff)
	}
}

func TestStore_Claim(t *testing.T) {
	t.Run("queued", func(t *testing.T) {
		f := newFixture(t)
		e := f.claim(t, f.create(t), now)
		if e.Attempt != 1 || e.Fence != 1 || e.Phase != export.Running {
			t.Errorf("claimed attempt %d, fence %d, phase %s; want 1, 1, running", e.Attempt, e.Fence, e.Phase)
		}
		got := f.get(t, e.ID)
		if !got.StartedAt.Equal(now) || !got.LeaseUntil.Equal(now.Add(export.Lease)) {
			t.Errorf("started %v, lease until %v", got.StartedAt, got.LeaseUntil)
		}
	})
	t.Run("lease held by other", func(t *testing.T) {
		f := newFixture(t)
		e := f.claim(t, f.create(t), now)
		_, err := f.Claim(t.Context(), f.get(t, e.ID), "second", now.Add(export.Lease-time.Second))
		wantCode(t, "claim", err, export.Conflict)
	})
	t.Run("lease renewed after it was read as expired", func(t *testing.T) {
		f := newFixture(t)
		first := f.claim(t, f.create(t), now)
		later := now.Add(export.Lease + time.Second)
		stale := f.get(t, first.ID)
		if err := f.Beat(t.Context(), first, export.Progress{}, later); err != nil {
			t.Fatal(err)
		}
		_, err := f.Claim(t.Context(), stale, "second", later)
		wantCode(t, "claim", err, export.Conflict)
	})
	t.Run("lease expired", func(t *testing.T) {
		f := newFixture(t)
		first := f.claim(t, f.create(t), now)
		if err := f.RecordUpload(t.Context(), first, "upload"); err != nil {
			t.Fatal(err)
		}
		second := f.claim(t, f.get(t, first.ID), now.Add(export.Lease+time.Second))
		if second.Attempt != 2 || second.Fence != 2 {
			t.Errorf("attempt %d, fence %d; want 2, 2", second.Attempt, second.Fence)
		}
		got := f.get(t, first.ID)
		if !got.StartedAt.Equal(now) {
			t.Errorf("started %v, want the first attempt's %v", got.StartedAt, now)
		}
		if _, left := f.item(t, "export#"+first.ID, "run")["uploadId"]; left {
			t.Error("the earlier attempt's upload is still recorded")
		}
	})
	t.Run("by many at once", func(t *testing.T) {
		f := newFixture(t)
		e := f.create(t)
		var won sync.Map
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, err := f.Claim(context.Background(), e, "worker", now); err == nil {
					won.Store(i, true)
				}
			})
		}
		wg.Wait()
		winners := 0
		won.Range(func(any, any) bool { winners++; return true })
		if got := f.get(t, e.ID); winners != 1 || got.Attempt != 1 || got.Fence != 1 {
			t.Errorf("%d winners, attempt %d, fence %d; want one of each", winners, got.Attempt, got.Fence)
		}
	})
}

// Whatever a worker writes after another took its place changes nothing.
func TestStore_FencedWrites(t *testing.T) {
	f := newFixture(t)
	old := f.claim(t, f.create(t), now)
	f.claim(t, f.get(t, old.ID), now.Add(export.Lease+time.Second))
	before := []map[string]any{f.item(t, "export#"+old.ID, "job"), f.item(t, "export#"+old.ID, "run"), f.item(t, "owner#anonymous", "quota")}
	ctx := t.Context()
	for name, write := range map[string]func() error{
		"beat":     func() error { return f.Beat(ctx, old, export.Progress{ProcessedRows: 9}, now) },
		"upload":   func() error { return f.RecordUpload(ctx, old, "late") },
		"snapshot": func() error { return f.RecordSnapshot(ctx, old, export.Snapshot{AsOf: now, Order: export.ByKey}) },
		"finalize": func() error { return f.Finalize(ctx, old, export.Result{Key: "late"}) },
		"complete": func() error { return f.Complete(ctx, old, now, now) },
		"fail":     func() error { return f.Fail(ctx, old, export.Failure{}, now, time.Hour) },
		"release":  func() error { return f.Release(ctx, old, now) },
	} {
		wantCode(t, name, write(), export.FenceLost)
	}
	after := []map[string]any{f.item(t, "export#"+old.ID, "job"), f.item(t, "export#"+old.ID, "run"), f.item(t, "owner#anonymous", "quota")}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a late worker changed (-before +after):\n%s", diff)
	}
}

func TestStore_Complete(t *testing.T) {
	f := newFixture(t)
	e := f.claim(t, f.create(t), now)
	snap := export.Snapshot{AsOf: now, Order: export.ByKey}
	result := export.Result{Rows: 5, UncompressedBytes: 70, Bytes: 50, CRC32: 0xdeadbeef, Key: e.Key(1), UploadID: "u"}
	expires := now.Add(time.Hour)
	wantCode(t, "complete before finalize", f.Complete(t.Context(), e, now, expires), export.FenceLost)
	for _, err := range []error{
		f.RecordSnapshot(t.Context(), e, snap),
		f.Finalize(t.Context(), e, result),
		f.Complete(t.Context(), e, now, expires),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := f.get(t, e.ID)
	if got.Status != export.Completed || got.Phase != "" || !got.ExpiresAt.Equal(expires) || !got.DueAt.Equal(expires) {
		t.Errorf("status %s, phase %q, expires %v, due %v", got.Status, got.Phase, got.ExpiresAt, got.DueAt)
	}
	if diff := cmp.Diff(&result, got.Result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&snap, got.Snapshot); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	if got := f.item(t, "owner#anonymous", "quota")["active"]; got != 0.0 {
		t.Errorf("owner's active exports = %v, want 0", got)
	}
	wantCode(t, "beat after complete", f.Beat(t.Context(), e, export.Progress{}, now), export.FenceLost)
	wantCode(t, "fail after complete", f.Fail(t.Context(), e, export.Failure{}, now, 0), export.FenceLost)
	_, err := f.Claim(t.Context(), got, "late", now.Add(time.Hour))
	wantCode(t, "claim after complete", err, export.Conflict)
}

func TestStore_Fail(t *testing.T) {
	f := newFixture(t)
	e := f.claim(t, f.create(t), now)
	failure := export.Failure{Code: export.SourceRejected, Message: "The table is gone."}
	if err := f.Fail(t.Context(), e, failure, now, time.Hour); err != nil {
		t.Fatal(err)
	}
	got := f.get(t, e.ID)
	if got.Status != export.Failed || got.Failure == nil || *got.Failure != failure || !got.DueAt.Equal(now.Add(export.Lease)) {
		t.Errorf("status %s, failure %+v, due %v", got.Status, got.Failure, got.DueAt)
	}
}

func TestStore_ReleaseAndTakeOver(t *testing.T) {
	f := newFixture(t)
	first := f.claim(t, f.create(t), now)
	if err := f.Release(t.Context(), first, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "beat after release", f.Beat(t.Context(), first, export.Progress{}, now), export.FenceLost)

	second := f.claim(t, f.get(t, first.ID), now)
	if second.Attempt != 2 || second.Fence != 3 { // the release took a fence, too
		t.Errorf("attempt %d, fence %d; want 2, 3", second.Attempt, second.Fence)
	}
	if err := f.Finalize(t.Context(), second, export.Result{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	later := now.Add(export.Lease + time.Second)
	_, err := f.Claim(t.Context(), f.get(t, first.ID), "third", later)
	wantCode(t, "claim while finalizing", err, export.Conflict)
	_, err = f.TakeOver(t.Context(), f.get(t, first.ID), "sweeper", now)
	wantCode(t, "take over a live lease", err, export.Conflict)
	taken, err := f.TakeOver(t.Context(), f.get(t, first.ID), "sweeper", later)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "complete by the old worker", f.Complete(t.Context(), second, later, later), export.FenceLost)
	if err := f.Complete(t.Context(), taken, later, later.Add(time.Hour)); err != nil {
		t.Errorf("complete by the new one: %v", err)
	}
}

func TestStore_Due(t *testing.T) {
	f := newFixture(t)
	first, second := f.create(t), f.create(t)
	due := func(at time.Time) map[string]bool {
		ids, err := f.Due(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		for _, id := range ids.Exports {
			set[id] = true
		}
		return set
	}
	if got := due(now.Add(59 * time.Second)); len(got) != 0 {
		t.Errorf("due before its time: %v", got)
	}
	if err := f.Postpone(t.Context(), first, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{second.ID: true}, due(now.Add(time.Minute))); diff != "" {
		t.Errorf("due after a minute (-want +got):\n%s", diff)
	}
	if got := f.get(t, first.ID); got.Sends != 1 {
		t.Errorf("sends = %d, want 1", got.Sends)
	}
	failed := f.claim(t, second, now)
	if err := f.Fail(t.Context(), failed, export.Failure{}, now, 0); err != nil {
		t.Fatal(err)
	}
	if got := due(now.Add(export.Lease)); !got[second.ID] {
		t.Error("a failed export isn't due: what its worker left would stay")
	}
	if err := f.Clear(t.Context(), f.get(t, second.ID), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got := due(now.Add(time.Minute)); len(got) != 0 {
		t.Errorf("a failed export is due though it was cleared: %v", got)
	}
}

// DynamoDB deletes up to days late; until then the record counts as gone.
func TestStore_Get_outlived(t *testing.T) {
	f := newFixture(t)
	e := f.claim(t, f.create(t), now)
	if err := f.Fail(t.Context(), e, export.Failure{}, now.Add(-export.RecordTTL-2*time.Hour), time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := f.Get(t.Context(), e.ID)
	wantCode(t, "get", err, export.NotFound)
}
