package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/internal/export"
)

// KeyTTL is how long an idempotency key stands for its first request.
const KeyTTL = 24 * time.Hour

// minuteTTL is how long a minute's counter is kept: until no clock of a
// function can still be in that minute.
const minuteTTL = time.Hour

// activeRetry is when one of an owner's exports may have ended.
const activeRetry = 10 * time.Second

// keyTries bounds how often a create looks at a key that others change under it.
const keyTries = 3

// Quota is what an owner may have; 0 is no bound.
type Quota struct {
	Active    int // exports that aren't done, at the same time
	PerMinute int // creates within a minute of the clock
}

// Admission says under which conditions a new export is taken on.
type Admission struct {
	Quota Quota
	// Key is the caller's idempotency key, of their own; empty for none. The
	// first create with a key is done; for the next KeyTTL those that ask for
	// the same get that one's export.
	Key string
	// Request identifies what is asked for; it matters only with a Key.
	Request string
}

// Create records a new export without any condition but that its id is new;
// see Admit.
func (s *Store) Create(ctx context.Context, e export.Export) error {
	_, err := s.Admit(ctx, e, Admission{}, e.CreatedAt)
	return err
}

// Admit records a new export, which must be Processing and Queued, counts it
// for its owner, and keeps the key: all in one transaction, so that no number
// of creates at once passes a quota, or makes two exports of one key. It
// returns the export that now stands: e, or the earlier one of the same key.
//
// The errors are TooManyExports when the quota is used up, IdempotencyMismatch
// when the key stands for another request, and IdempotencyInProgress when
// other creates with the key kept this one from an answer.
func (s *Store) Admit(ctx context.Context, e export.Export, a Admission, now time.Time) (export.Export, error) {
	for try := 1; ; try++ {
		err := s.insert(ctx, e, a, now)
		if err == nil {
			return e, nil
		}
		failed := failedConditions(err)
		if a.Key != "" && len(failed) > 0 { // the quota doesn't matter to a repeated request
			earlier, found, err := s.earlier(ctx, e.Owner, a, now)
			if found || err != nil {
				return earlier, err
			}
			if slices.Contains(failed, keyPlace) && try < keyTries {
				continue // it was there a moment ago
			}
		}
		return export.Export{}, refusal(e, a, failed, now, err)
	}
}

// The places of the conditions in the transaction of a create.
const (
	jobPlace = iota
	runPlace
	activePlace
	minutePlace
	keyPlace
)

// refusal says why the transaction wasn't done.
func refusal(e export.Export, a Admission, failed []int, now time.Time, err error) error {
	switch {
	case slices.Contains(failed, activePlace):
		return &export.Error{
			Code: export.TooManyExports, RetryAfter: activeRetry, Err: err,
			Message: fmt.Sprintf("You have %d exports that aren't finished, which is the most allowed at once. Wait for one, or cancel one.", a.Quota.Active),
		}
	case slices.Contains(failed, minutePlace):
		return &export.Error{
			Code: export.TooManyExports, RetryAfter: now.Truncate(time.Minute).Add(time.Minute).Sub(now), Err: err,
			Message: fmt.Sprintf("You have requested %d exports in this minute, which is the most allowed.", a.Quota.PerMinute),
		}
	case a.Key != "" && (slices.Contains(failed, keyPlace) || errors.Is(err, errBusy)):
		return &export.Error{
			Code: export.IdempotencyInProgress, Err: err,
			Message: "Another request with this Idempotency-Key is being handled. Please try again.",
		}
	default:
		return translate("create export "+e.ID, export.Conflict, err)
	}
}

func (s *Store) insert(ctx context.Context, e export.Export, a Admission, now time.Time) error {
	job, run, err := newItems(e)
	if err != nil {
		return err
	}
	absent := "attribute_not_exists(pk)"
	items := []types.TransactWriteItem{
		jobPlace:    s.put(job, absent, nil),
		runPlace:    s.put(run, absent, nil),
		activePlace: s.countActive(e.Owner, 1, now),
	}
	if most := a.Quota.Active; most > 0 {
		active := items[activePlace].Update
		active.ConditionExpression = new("attribute_not_exists(active) OR active < :most")
		active.ExpressionAttributeValues[":most"] = values{":most": most}.marshal()[":most"]
	}
	items = append(items, s.countMinute(e.Owner, a.Quota.PerMinute, now))
	if a.Key != "" {
		key := keyItem{PK: keyPK(e.Owner, a.Key), SK: keySK, ExportID: e.ID, Request: a.Request, TTL: now.Add(KeyTTL).Unix()}
		put := s.put(key, absent+" OR #ttl < :now", values{":now": now.Unix()})
		put.Put.ExpressionAttributeNames = names("#ttl")
		items = append(items, put)
	}
	return retryBusy(ctx, func(ctx context.Context) error {
		_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items})
		return err
	})
}

func (s *Store) put(item any, condition string, v values) types.TransactWriteItem {
	av, err := attributevalue.MarshalMap(item)
	if err != nil { // our own structs of strings and numbers always encode
		panic(err)
	}
	put := &types.Put{TableName: &s.table, Item: av, ConditionExpression: &condition}
	if v != nil {
		put.ExpressionAttributeValues = v.marshal()
	}
	return types.TransactWriteItem{Put: put}
}

// countMinute counts a create in the present minute, of which there may be
// most; 0 is no bound. A minute has an item of its own, which DynamoDB deletes
// afterwards: a counter that starts over would take a second write.
func (s *Store) countMinute(owner string, most int, now time.Time) types.TransactWriteItem {
	minute := now.UTC().Truncate(time.Minute)
	v := values{":one": 1, ":ttl": minute.Add(minuteTTL).Unix()}
	update := &types.Update{
		TableName:                &s.table,
		Key:                      key(ownerPK(owner), minuteSK(minute)),
		UpdateExpression:         new("SET #ttl = :ttl ADD creates :one"),
		ExpressionAttributeNames: names("#ttl"),
	}
	if most > 0 {
		update.ConditionExpression = new("attribute_not_exists(creates) OR creates < :most")
		v[":most"] = most
	}
	update.ExpressionAttributeValues = v.marshal()
	return types.TransactWriteItem{Update: update}
}

// keyItem is an idempotency key and what it stands for.
type keyItem struct {
	PK       string `dynamodbav:"pk"`
	SK       string `dynamodbav:"sk"`
	ExportID string `dynamodbav:"exportId"`
	Request  string `dynamodbav:"request"`
	TTL      int64  `dynamodbav:"ttl"`
}

// keyPK is of an owner's key: the length before the owner keeps one's key from
// being made to look like another's.
func keyPK(owner, key string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(owner)) + ":" + owner + key))
	return "idem#" + hex.EncodeToString(sum[:])
}

// earlier returns the export that the key stands for, if it does for any.
func (s *Store) earlier(ctx context.Context, owner string, a Admission, now time.Time) (export.Export, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: key(keyPK(owner, a.Key), keySK), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return export.Export{}, false, translate("get idempotency key", export.Conflict, err)
	}
	if out.Item == nil || outlived(out.Item, now) {
		return export.Export{}, false, nil
	}
	var item keyItem
	if err := attributevalue.UnmarshalMap(out.Item, &item); err != nil {
		return export.Export{}, false, fmt.Errorf("decode idempotency key: %w", err)
	}
	if item.Request != a.Request {
		return export.Export{}, false, export.Errorf(export.IdempotencyMismatch,
			"This Idempotency-Key was used for another request within the last 24 hours. Use a new one.")
	}
	e, err := s.Get(ctx, item.ExportID)
	return e, err == nil, err
}
