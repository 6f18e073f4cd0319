package jobs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/internal/export"
)

// noticeItem is there from the moment on in which an export comes to its end
// until everybody was told of it. It is put by the transaction that ends the
// export, so neither is there without the other.
type noticeItem struct {
	PK         string                  `dynamodbav:"pk"`
	SK         string                  `dynamodbav:"sk"`
	V          int                     `dynamodbav:"v"`
	OwnerID    string                  `dynamodbav:"ownerId"` // not owner: it stands in no list
	Status     string                  `dynamodbav:"status"`
	At         string                  `dynamodbav:"at"`
	Rev        int64                   `dynamodbav:"rev"`
	Lease      string                  `dynamodbav:"lease,omitempty"`
	Deliveries map[string]deliveryItem `dynamodbav:"deliveries,omitempty"`
	Sends      int                     `dynamodbav:"sends"`
	DueShard   string                  `dynamodbav:"dueShard"`
	DueAt      string                  `dynamodbav:"dueAt"`
	TTL        int64                   `dynamodbav:"ttl"`
}

type deliveryItem struct {
	Attempts int    `dynamodbav:"attempts"`
	Next     string `dynamodbav:"next"`
}

// notice puts the notice of an export that comes to its end, whose record stays
// until ttl. It is part of the transaction that ends it.
func (s *Store) notice(e export.Export, status export.Status, now time.Time, ttl int64) types.TransactWriteItem {
	return s.put(noticeItem{
		PK: exportPK(e.ID), SK: noticeSK, V: version, OwnerID: e.Owner, Status: string(status), At: formatTime(now),
		DueShard: dueShard, DueAt: formatTime(now.Add(export.NoticeGrace)), TTL: ttl,
	}, "attribute_not_exists(pk)", nil)
}

// Notice returns what is still to be told of an export, as it is now. The error
// is NotFound if it isn't done, or if nothing is left to be told.
func (s *Store) Notice(ctx context.Context, id string) (export.Notice, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	doing := "get notice of " + id
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: key(exportPK(id), noticeSK), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return export.Notice{}, translate(doing, export.Conflict, err)
	}
	if out.Item == nil || outlived(out.Item, time.Now()) {
		return export.Notice{}, export.Errorf(export.NotFound, "There is nothing to be told of this export.")
	}
	n, err := decodeNotice(out.Item)
	if err != nil {
		return export.Notice{}, fmt.Errorf("%s: %w", doing, err)
	}
	return n, nil
}

func decodeNotice(av map[string]types.AttributeValue) (export.Notice, error) {
	var item noticeItem
	if err := attributevalue.UnmarshalMap(av, &item); err != nil {
		return export.Notice{}, err
	}
	if item.V != version {
		return export.Notice{}, fmt.Errorf("it has version %d, this program knows %d", item.V, version)
	}
	n := export.Notice{
		ExportID: strings.TrimPrefix(item.PK, exportPK("")), Owner: item.OwnerID, Status: export.Status(item.Status),
		Rev: item.Rev, Sends: item.Sends,
	}
	var err error
	for _, f := range []struct {
		from string
		to   *time.Time
	}{{item.At, &n.At}, {item.Lease, &n.LeaseUntil}, {item.DueAt, &n.DueAt}} {
		if *f.to, err = parseTime(f.from); err != nil {
			return export.Notice{}, err
		}
	}
	if item.Deliveries != nil {
		n.Deliveries = map[string]export.Delivery{}
	}
	for target, d := range item.Deliveries {
		next, err := parseTime(d.Next)
		if err != nil {
			return export.Notice{}, err
		}
		n.Deliveries[target] = export.Delivery{Attempts: d.Attempts, Next: next}
	}
	return n, nil
}

func deliveryItems(n export.Notice) map[string]deliveryItem {
	items := map[string]deliveryItem{}
	for target, d := range n.Deliveries {
		items[target] = deliveryItem{Attempts: d.Attempts, Next: formatTime(d.Next)}
	}
	return items
}

// ClaimNotice gives the caller the sole right to tell for NoticeLease, and keeps
// n's deliveries, with the attempts that are about to be made already counted:
// so also one during which the caller dies. It returns the notice as claimed.
// The error is Conflict when n was claimed since it was read.
func (s *Store) ClaimNotice(ctx context.Context, n export.Notice, now time.Time) (export.Notice, error) {
	claimed := n
	claimed.Rev++
	claimed.Sends = 0
	claimed.LeaseUntil = now.Add(export.NoticeLease)
	claimed.DueAt = claimed.LeaseUntil
	return claimed, s.update(ctx, "claim notice of "+n.ExportID, export.Conflict, s.noticeUpdate(n.ExportID,
		"rev = :read AND (attribute_not_exists(lease) OR lease < :now)",
		"SET rev = :rev, lease = :lease, dueAt = :lease, sends = :zero, deliveries = :deliveries", values{
			":read": n.Rev, ":rev": claimed.Rev, ":now": formatTime(now), ":lease": formatTime(claimed.LeaseUntil), ":zero": 0,
			":deliveries": deliveryItems(claimed),
		}))
}

// RecordNotice keeps what came of a claimed notice's deliveries, and gives it
// back; the sweeper looks at it at n.DueAt. If none is open any more the notice
// goes. The error is FenceLost when somebody else claimed it meanwhile.
func (s *Store) RecordNotice(ctx context.Context, n export.Notice) error {
	doing, condition := "record deliveries of "+n.ExportID, "rev = :read"
	if len(n.Deliveries) > 0 {
		return s.update(ctx, doing, export.FenceLost, s.noticeUpdate(n.ExportID, condition,
			"SET deliveries = :deliveries, dueAt = :due REMOVE lease", values{
				":read": n.Rev, ":deliveries": deliveryItems(n), ":due": formatTime(n.DueAt),
			}))
	}
	return retry(ctx, doing, export.FenceLost, func(ctx context.Context) error {
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.table, Key: key(exportPK(n.ExportID), noticeSK),
			ConditionExpression: &condition, ExpressionAttributeValues: values{":read": n.Rev}.marshal(),
		})
		return err
	})
}

// PostponeNotice moves the time at which the sweeper looks at n again, and
// counts the message that it sent. The error is Conflict when n has changed
// since it was read.
func (s *Store) PostponeNotice(ctx context.Context, n export.Notice, dueAt time.Time) error {
	return s.update(ctx, "postpone notice of "+n.ExportID, export.Conflict, s.noticeUpdate(n.ExportID,
		"rev = :read AND dueAt = :was", "SET dueAt = :due, sends = :sends", values{
			":read": n.Rev, ":was": formatTime(n.DueAt), ":due": formatTime(dueAt), ":sends": n.Sends + 1,
		}))
}

func (s *Store) noticeUpdate(id, condition, update string, v values) *types.Update {
	return &types.Update{
		TableName: &s.table, Key: key(exportPK(id), noticeSK),
		UpdateExpression: &update, ConditionExpression: &condition, ExpressionAttributeValues: v.marshal(),
	}
}
