package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/internal/export"
)

const (
	// recount is after how long an owner's exports are counted anew, as long
	// as he has any.
	recount = time.Hour
	// quiet is for how long an owner's counter must have stood still before it
	// is compared with an index: the index is late by less than a second, and
	// clocks of functions may differ by minutes.
	quiet = 10 * time.Minute
)

// quotaItem counts an owner's exports that aren't done. Each change of their
// number is part of the transaction that makes it; DueAt has the sweeper
// compare the number with the exports themselves.
type quotaItem struct {
	Active    int    `dynamodbav:"active"`
	ChangedAt string `dynamodbav:"changedAt"`
}

// countActive adds n to the number of the owner's exports that aren't done.
func (s *Store) countActive(owner string, n int, now time.Time) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &s.table,
		Key:       key(ownerPK(owner), quotaSK),
		UpdateExpression: aws.String("SET changedAt = :changed, dueShard = if_not_exists(dueShard, :shard), " +
			"dueAt = if_not_exists(dueAt, :due) ADD active :n"),
		ExpressionAttributeValues: values{
			":n": n, ":changed": formatTime(now), ":shard": dueShard, ":due": formatTime(now.Add(recount)),
		}.marshal(),
	}}
}

// Reconcile makes the number of the owner's active exports what it is, should
// it have drifted, and returns by how much it was too high. While exports come
// and go it only says when to look again. The error is Conflict when one did
// meanwhile.
func (s *Store) Reconcile(ctx context.Context, owner string, now time.Time) (drift int, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	doing := "reconcile the quota of " + owner
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: key(ownerPK(owner), quotaSK), ConsistentRead: aws.Bool(true),
	})
	if err != nil || out.Item == nil {
		return 0, translate(doing, export.Conflict, err)
	}
	var item quotaItem
	if err := attributevalue.UnmarshalMap(out.Item, &item); err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	changed, err := parseTime(item.ChangedAt)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	if again := changed.Add(quiet); again.After(now) {
		return 0, s.update(ctx, doing, export.Conflict, s.quota(owner, item, "SET dueAt = :due", values{":due": formatTime(again)}))
	}
	active, err := s.countProcessing(ctx, owner)
	if err != nil {
		return 0, translate(doing, export.Conflict, err)
	}
	set, v := "SET active = :active REMOVE dueShard, dueAt", values{":active": active}
	if active > 0 {
		set = "SET active = :active, dueAt = :due"
		v[":due"] = formatTime(now.Add(recount))
	}
	return item.Active - active, s.update(ctx, doing, export.Conflict, s.quota(owner, item, set, v))
}

// quota changes the owner's quota item, provided that it is as it was read.
func (s *Store) quota(owner string, read quotaItem, update string, v values) *types.Update {
	v[":read"], v[":changed"] = read.Active, read.ChangedAt
	return &types.Update{
		TableName:                 &s.table,
		Key:                       key(ownerPK(owner), quotaSK),
		UpdateExpression:          &update,
		ConditionExpression:       aws.String("active = :read AND changedAt = :changed"),
		ExpressionAttributeValues: v.marshal(),
	}
}

// countProcessing counts the owner's exports that aren't done, by the index.
func (s *Store) countProcessing(ctx context.Context, owner string) (n int, err error) {
	pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("by-owner"),
		KeyConditionExpression:    aws.String("#owner = :owner"),
		FilterExpression:          aws.String("#status = :processing"),
		ExpressionAttributeNames:  map[string]string{"#owner": "owner", "#status": "status"},
		ExpressionAttributeValues: values{":owner": owner, ":processing": export.Processing}.marshal(),
		Select:                    types.SelectCount,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		n += int(page.Count)
	}
	return n, nil
}
