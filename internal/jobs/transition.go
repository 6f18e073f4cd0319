package jobs

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/internal/export"
)

// Claimable reports whether a worker may start an attempt at e: it waits, or
// its worker's lease has run out. A finalizing export is never started over
// before it is known whether its file is there; see TakeOver.
func Claimable(e export.Export, now time.Time) bool {
	if e.Status != export.Processing {
		return false
	}
	return e.Phase == export.Queued || e.Phase == export.Running && e.LeaseUntil.Before(now)
}

// Claim starts a new attempt at e for a worker: it raises the attempt and the
// fence and returns the export as claimed. The error is Conflict when e isn't
// Claimable (any more).
func (s *Store) Claim(ctx context.Context, e export.Export, worker string, now time.Time) (export.Export, error) {
	if !Claimable(e, now) {
		return e, export.Errorf(export.Conflict, "The export isn't waiting for a worker.")
	}
	claimed := e
	claimed.Attempt++
	claimed.Fence++
	claimed.Phase = export.Running
	claimed.Sends = 0
	claimed.LeaseUntil = now.Add(export.Lease)
	claimed.Progress, claimed.Snapshot, claimed.Result = export.Progress{}, nil, nil
	err := s.transact(ctx, "claim export "+e.ID, export.Conflict,
		s.job(e, e.Phase, "SET phase = :to, attempt = :attempt, sends = :zero, dueAt = :due, startedAt = if_not_exists(startedAt, :now) REMOVE asOf, rowOrder, #result, queueShard", values{
			":to": export.Running, ":attempt": claimed.Attempt, ":zero": 0, ":due": formatTime(claimed.LeaseUntil), ":now": formatTime(now),
		}),
		s.takeRun(e, claimed, worker, now, ", processedRows = :zero, rowsPerSecond = :zero REMOVE totalRows, uploadId"),
	)
	return claimed, err
}

// TakeOver makes a worker the owner of an export whose lease has run out
// within its attempt, to settle what its last worker began rather than to
// start over. The error is Conflict when e has changed since it was read, or
// its lease is live.
func (s *Store) TakeOver(ctx context.Context, e export.Export, worker string, now time.Time) (export.Export, error) {
	taken := e
	taken.Fence++
	taken.LeaseUntil = now.Add(export.Lease)
	err := s.transact(ctx, "take over export "+e.ID, export.Conflict,
		s.check(e, e.Phase),
		s.takeRun(e, taken, worker, now, ""),
	)
	return taken, err
}

// takeRun gives the run to a new owner, provided that nobody else took it
// since old was read and that no lease is live.
func (s *Store) takeRun(old, taken export.Export, worker string, now time.Time, more string) types.TransactWriteItem {
	v := values{
		":old": old.Fence, ":fence": taken.Fence, ":worker": worker,
		":lease": formatTime(taken.LeaseUntil), ":now": formatTime(now),
	}
	if strings.Contains(more, ":zero") {
		v[":zero"] = 0
	}
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                 &s.table,
		Key:                       key(exportPK(old.ID), runSK),
		UpdateExpression:          new("SET fence = :fence, worker = :worker, lease = :lease" + more),
		ConditionExpression:       new("fence = :old AND (attribute_not_exists(lease) OR lease < :now)"),
		ExpressionAttributeValues: v.marshal(),
	}}
}

// Beat renews the worker's lease and records its progress. An export that is
// done has no lease to renew: the error is FenceLost then, too.
func (s *Store) Beat(ctx context.Context, e export.Export, p export.Progress, now time.Time) error {
	set := "SET lease = :lease, processedRows = :processed, rowsPerSecond = :rate"
	v := values{
		":lease":     formatTime(now.Add(export.Lease)),
		":processed": p.ProcessedRows,
		":rate":      p.RowsPerSecond,
	}
	if p.TotalRows != nil {
		set += ", totalRows = :total"
		v[":total"] = *p.TotalRows
	}
	u := s.run(e, set, v)
	u.ConditionExpression = new(*u.ConditionExpression + " AND attribute_exists(lease)")
	return s.update(ctx, "beat of export "+e.ID, export.FenceLost, u)
}

// RecordUpload keeps the id of the attempt's multipart upload.
func (s *Store) RecordUpload(ctx context.Context, e export.Export, uploadID string) error {
	return s.update(ctx, "record upload of export "+e.ID, export.FenceLost,
		s.run(e, "SET uploadId = :upload", values{":upload": uploadID}))
}

// RecordSnapshot keeps which state of the database the attempt reads.
func (s *Store) RecordSnapshot(ctx context.Context, e export.Export, snap export.Snapshot) error {
	return s.transact(ctx, "record snapshot of export "+e.ID, export.FenceLost,
		s.job(e, export.Running, "SET asOf = :asOf, rowOrder = :order", values{":asOf": formatTime(snap.AsOf), ":order": snap.Order}),
		s.checkFence(e),
	)
}

// Finalize records the finished file before it is published: from here on
// whoever finds the object knows whether it is right.
func (s *Store) Finalize(ctx context.Context, e export.Export, r export.Result) error {
	return s.transact(ctx, "finalize export "+e.ID, export.FenceLost,
		s.job(e, export.Running, "SET phase = :to, #result = :result", values{":to": export.Finalizing, ":result": resultItem(r)}),
		s.checkFence(e),
	)
}

// Complete makes a finalizing export, whose object is known to be there,
// completed. Its file expires at expiresAt. The sweeper looks at it then, or
// where there were earlier attempts soon, for what those left; see Clear. A
// file in a destination stays, and only its record ends as another's does.
func (s *Store) Complete(ctx context.Context, e export.Export, now, expiresAt time.Time) error {
	ttl := expiresAt.Add(export.RecordTTL).Unix()
	set, remove := "SET #status = :to, completedAt = :now, #ttl = :ttl", " REMOVE phase"
	v := values{":to": export.Completed, ":now": formatTime(now), ":ttl": ttl}
	stays := e.Spec.Destination != nil
	if !stays {
		set += ", expiresAt = :expires"
		v[":expires"] = formatTime(expiresAt)
	}
	switch {
	case e.Attempt > 1:
		set += ", dueAt = :due"
		v[":due"] = formatTime(now.Add(export.Lease))
	case stays:
		remove += ", dueShard, dueAt"
	default:
		set += ", dueAt = :due"
		v[":due"] = formatTime(expiresAt)
	}
	return s.transact(ctx, "complete export "+e.ID, export.FenceLost,
		s.job(e, export.Finalizing, set+remove, v),
		types.TransactWriteItem{Update: s.run(e, "SET #ttl = :ttl REMOVE lease, worker", values{":ttl": ttl})},
		s.countActive(e.Owner, -1, now),
		s.notice(e, export.Completed, now, ttl),
	)
}

// Fail makes the worker's export failed for good. What its workers left is the
// sweeper's to remove, see Clear. fileTTL is how long its
// file would have stayed: the record stays as long as another's.
func (s *Store) Fail(ctx context.Context, e export.Export, f export.Failure, now time.Time, fileTTL time.Duration) error {
	ttl := now.Add(fileTTL).Add(export.RecordTTL).Unix()
	return s.transact(ctx, "fail export "+e.ID, export.FenceLost,
		s.job(e, "", "SET #status = :to, #error = :error, completedAt = :now, dueAt = :due, #ttl = :ttl REMOVE phase, #result, queueShard", values{
			":to": export.Failed, ":error": failureItem{Code: string(f.Code), Message: f.Message}, ":now": formatTime(now), ":due": formatTime(now.Add(export.Lease)), ":ttl": ttl,
		}),
		types.TransactWriteItem{Update: s.run(e, "SET #ttl = :ttl REMOVE lease, worker", values{":ttl": ttl})},
		s.countActive(e.Owner, -1, now),
		s.notice(e, export.Failed, now, ttl),
	)
}

// Release gives the worker's attempt up for a later one. The sweeper sends
// the export to the queue anew from dueAt on.
func (s *Store) Release(ctx context.Context, e export.Export, dueAt time.Time) error {
	return s.release(ctx, e, e.Excused, dueAt)
}

// Excuse is Release of an attempt that doesn't count.
func (s *Store) Excuse(ctx context.Context, e export.Export, dueAt time.Time) error {
	return s.release(ctx, e, e.Excused+1, dueAt)
}

func (s *Store) release(ctx context.Context, e export.Export, excused int, dueAt time.Time) error {
	return s.transact(ctx, "release export "+e.ID, export.FenceLost,
		s.job(e, "", "SET phase = :to, excused = :excused, dueAt = :due, queueShard = :shard REMOVE #result", values{
			":to": export.Queued, ":excused": excused, ":due": formatTime(dueAt), ":shard": queueShard,
		}),
		types.TransactWriteItem{Update: s.run(e, "SET fence = fence + :one REMOVE lease, worker", values{":one": 1})},
	)
}

// Postpone moves the time at which the sweeper looks at e again, and counts
// the message that it sent. The error is Conflict when e changed since it was
// read.
func (s *Store) Postpone(ctx context.Context, e export.Export, dueAt time.Time) error {
	u := s.job(e, e.Phase, "SET dueAt = :due, sends = :sends", values{":due": formatTime(dueAt), ":sends": e.Sends + 1, ":read": e.Sends}).Update
	u.ConditionExpression = new(*u.ConditionExpression + " AND sends = :read") // a repeated call changes nothing
	return s.update(ctx, "postpone export "+e.ID, export.Conflict, u)
}

// settled changes the job item of an export that is done, provided that it
// has the given status.
func (s *Store) settled(e export.Export, status export.Status, update string, v values) *types.Update {
	v = maps.Clone(v)
	v[":status"] = status
	return &types.Update{
		TableName:                 &s.table,
		Key:                       key(exportPK(e.ID), jobSK),
		UpdateExpression:          &update,
		ConditionExpression:       new("#status = :status"),
		ExpressionAttributeNames:  map[string]string{"#status": "status"},
		ExpressionAttributeValues: v.marshal(),
	}
}

// job changes e's job item, provided that it is processing in the given
// phase and attempt; an empty phase means any.
func (s *Store) job(e export.Export, phase export.Phase, update string, v values) types.TransactWriteItem {
	condition, v := jobCondition(e, phase, v)
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                 &s.table,
		Key:                       key(exportPK(e.ID), jobSK),
		UpdateExpression:          &update,
		ConditionExpression:       &condition,
		ExpressionAttributeNames:  names(update + condition),
		ExpressionAttributeValues: v.marshal(),
	}}
}

// check is job without a change.
func (s *Store) check(e export.Export, phase export.Phase) types.TransactWriteItem {
	condition, v := jobCondition(e, phase, nil)
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName:                 &s.table,
		Key:                       key(exportPK(e.ID), jobSK),
		ConditionExpression:       &condition,
		ExpressionAttributeNames:  names(condition),
		ExpressionAttributeValues: v.marshal(),
	}}
}

// jobCondition holds while e is processing in the attempt that it was read
// in. A worker's attempt only changes with the fence, but Claim and Postpone
// are nobody's.
func jobCondition(e export.Export, phase export.Phase, v values) (string, values) {
	condition := "#status = :processing AND attempt = :current"
	v = maps.Clone(v)
	if v == nil {
		v = values{}
	}
	v[":processing"], v[":current"] = export.Processing, e.Attempt
	if phase != "" {
		condition += " AND phase = :phase"
		v[":phase"] = phase
	}
	return condition, v
}

// run changes e's run item, provided that e's fence is still the newest.
func (s *Store) run(e export.Export, update string, v values) *types.Update {
	v = maps.Clone(v)
	v[":fence"] = e.Fence
	return &types.Update{
		TableName:                 &s.table,
		Key:                       key(exportPK(e.ID), runSK),
		UpdateExpression:          &update,
		ConditionExpression:       new("fence = :fence"),
		ExpressionAttributeNames:  names(update),
		ExpressionAttributeValues: v.marshal(),
	}
}

func (s *Store) checkFence(e export.Export) types.TransactWriteItem {
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName:                 &s.table,
		Key:                       key(exportPK(e.ID), runSK),
		ConditionExpression:       new("fence = :fence"),
		ExpressionAttributeValues: values{":fence": e.Fence}.marshal(),
	}}
}

// names maps the placeholders that an expression uses to attributes whose
// names are reserved words of DynamoDB.
func names(expression string) map[string]string {
	var used map[string]string
	for _, reserved := range []string{"status", "result", "error", "ttl"} {
		if strings.Contains(expression, "#"+reserved) {
			if used == nil {
				used = map[string]string{}
			}
			used["#"+reserved] = reserved
		}
	}
	return used
}
