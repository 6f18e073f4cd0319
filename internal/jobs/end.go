package jobs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/internal/export"
)

// The moves that end an export, or what is left of one, from outside: by a
// caller, or by time.

// Cancel makes a processing export cancelled. It raises the fence, so that
// its worker, if it has one, can't write any more and stops at its next beat.
// What the worker leaves behind is the sweeper's to remove, from the moment
// on at which its lease would have run out; see Clear. fileTTL is as for Fail.
//
// The error is Conflict when e isn't processing any more, or is in another
// attempt than when it was read.
func (s *Store) Cancel(ctx context.Context, e export.Export, now time.Time, fileTTL time.Duration) error {
	ttl := now.Add(fileTTL).Add(export.RecordTTL).Unix()
	v := values{":to": export.Cancelled, ":now": formatTime(now), ":ttl": ttl}
	set, remove := "SET #status = :to, completedAt = :now, #ttl = :ttl", " REMOVE phase, #result, queueShard"
	if e.Attempt == 0 { // nobody ever began
		remove += ", dueShard, dueAt"
	} else {
		set += ", dueAt = :due"
		v[":due"] = formatTime(now.Add(export.Lease))
	}
	return s.transact(ctx, "cancel export "+e.ID, export.Conflict,
		s.job(e, "", set+remove, v),
		types.TransactWriteItem{Update: &types.Update{
			TableName:                 &s.table,
			Key:                       key(exportPK(e.ID), runSK),
			UpdateExpression:          new("SET fence = fence + :one, #ttl = :ttl REMOVE lease, worker"),
			ExpressionAttributeNames:  names("#ttl"),
			ExpressionAttributeValues: values{":one": 1, ":ttl": ttl}.marshal(),
		}},
		s.countActive(e.Owner, -1, now),
		s.notice(e, export.Cancelled, now, ttl),
	)
}

// Delete makes a completed export deleted. It is due at once, until Clear
// says that its file is gone. The error is Conflict when e isn't completed
// any more.
func (s *Store) Delete(ctx context.Context, e export.Export, now time.Time) error {
	return s.update(ctx, "delete export "+e.ID, export.Conflict,
		s.settled(e, export.Completed, "SET #status = :to, dueAt = :now, dueShard = :shard", values{":to": export.Deleted, ":now": formatTime(now), ":shard": dueShard}))
}

// Expire makes a completed export, whose time is over, expired. It stays due
// until Clear says that its file is gone. The error is Conflict when e isn't
// completed any more.
func (s *Store) Expire(ctx context.Context, e export.Export) error {
	return s.update(ctx, "expire export "+e.ID, export.Conflict,
		s.settled(e, export.Completed, "SET #status = :to", values{":to": export.Expired}))
}

// Clear records that what was left of an export that is done was removed. The sweeper looks again at the given time; at the zero time
// never. The error is Conflict when e's status has changed.
func (s *Store) Clear(ctx context.Context, e export.Export, again time.Time) error {
	update, v := "REMOVE dueShard, dueAt", values{}
	if !again.IsZero() {
		update, v = "SET dueAt = :due", values{":due": formatTime(again)}
	}
	return s.update(ctx, "clear export "+e.ID, export.Conflict, s.settled(e, e.Status, update, v))
}
