// Package jobs keeps the state of exports in DynamoDB. The conditions under
// which an export may move from one state to the next stand here, in the
// writes themselves: nobody else decides who may write.
//
// Every write of a worker is conditional on the fence that it was given when
// it claimed the export. When the condition fails the error is FenceLost:
// somebody else owns the export now, and the worker must stop at once.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cenkalti/backoff/v5"

	"csvexport/internal/export"
)

// writeTimeout bounds one call of the store, retries included: well below the
// lease, so that a worker that can't write stops before it is replaced.
const writeTimeout = 10 * time.Second

// Store is the table of exports.
type Store struct {
	client *dynamodb.Client
	table  string
}

// New returns the store in the named table. Calls that DynamoDB throttles, or
// fails at, are repeated until their time is over, which is short: with the few
// tries and long pauses that the SDK has by itself, a minute in which half of
// all calls are throttled would cost many exports an attempt.
func New(cfg aws.Config, table string) *Store {
	return &Store{table: table, client: dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		if cfg.RetryMaxAttempts > 0 { // somebody knows better
			return
		}
		o.Retryer = awsretry.NewStandard(func(r *awsretry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = maxTries, maxPause
			r.RateLimiter = ratelimit.None // the calls' own time bounds them
		})
	})}
}

const (
	maxTries = 30
	maxPause = 500 * time.Millisecond
)

// Get returns an export as it is now. The error is NotFound for an unknown
// id, and for a record that has outlived its time: DynamoDB deletes late.
func (s *Store) Get(ctx context.Context, id string) (export.Export, error) {
	found, err := s.read(ctx, []string{id})
	if err != nil {
		return export.Export{}, err
	}
	if len(found) == 0 {
		return export.Export{}, export.Errorf(export.NotFound, "There is no export with this id.")
	}
	return found[0], nil
}

// maxRead is how many exports one BatchGetItem can read: DynamoDB's bound is
// 100 items.
const maxRead = 50

// read returns the exports with the given ids, at most maxRead, in that order
// and as they are now. It leaves out those that aren't there (any more).
func (s *Store) read(ctx context.Context, ids []string) ([]export.Export, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	keys := make([]map[string]types.AttributeValue, 0, 2*len(ids))
	for _, id := range ids {
		keys = append(keys, key(exportPK(id), jobSK), key(exportPK(id), runSK))
	}
	doing := "read exports"
	if len(ids) == 1 {
		doing = "get export " + ids[0]
	}
	items := map[itemKey]map[string]types.AttributeValue{}
	pause := newPause()
	for len(keys) > 0 {
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{s.table: {ConsistentRead: aws.Bool(true), Keys: keys}},
		})
		if err != nil {
			return nil, translate(doing, export.Conflict, err)
		}
		for _, item := range out.Responses[s.table] {
			var k itemKey
			if err := attributevalue.UnmarshalMap(item, &k); err != nil {
				return nil, fmt.Errorf("%s: %w", doing, err)
			}
			items[k] = item
		}
		keys = out.UnprocessedKeys[s.table].Keys
		if len(keys) > 0 { // DynamoDB is short of capacity
			select {
			case <-time.After(pause.NextBackOff()):
			case <-ctx.Done():
				return nil, translate(doing, export.Conflict, errors.New("DynamoDB left keys unprocessed"))
			}
		}
	}
	var found []export.Export
	for _, id := range ids {
		job, run := items[itemKey{exportPK(id), jobSK}], items[itemKey{exportPK(id), runSK}]
		if job == nil || run == nil || outlived(job, time.Now()) {
			continue
		}
		e, err := decode(job, run)
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

type itemKey struct {
	PK string `dynamodbav:"pk"`
	SK string `dynamodbav:"sk"`
}

// Due is what the sweeper has to look at, the longest due first. The index
// that says so lags behind the table, so each must be read again.
type Due struct {
	Exports []string // ids
	Notices []string // ids of exports of which somebody may still have to be told
	Owners  []string // whose quota may have to be reconciled
}

// Due returns what is due at the given time.
func (s *Store) Due(ctx context.Context, now time.Time) (Due, error) {
	var due Due
	pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("by-due-time"),
		KeyConditionExpression:    aws.String("dueShard = :shard AND dueAt <= :now"),
		ExpressionAttributeValues: values{":shard": dueShard, ":now": formatTime(now)}.marshal(),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Due{}, translate("list due exports", export.Conflict, err)
		}
		for _, item := range page.Items {
			var k itemKey
			if err := attributevalue.UnmarshalMap(item, &k); err != nil {
				return Due{}, fmt.Errorf("decode due export: %w", err)
			}
			id, ofExport := strings.CutPrefix(k.PK, exportPK(""))
			owner, ofOwner := strings.CutPrefix(k.PK, ownerPK(""))
			switch {
			case ofExport && k.SK == noticeSK:
				due.Notices = append(due.Notices, id)
			case ofExport:
				due.Exports = append(due.Exports, id)
			case ofOwner:
				due.Owners = append(due.Owners, owner)
			}
		}
	}
	return due, nil
}

// Ping asks whether the table is there and may be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: key("ping", "ping")})
	return translate("ping", export.Conflict, err)
}

// values are the values of an expression by their names in it.
type values map[string]any

func (v values) marshal() map[string]types.AttributeValue {
	av, err := attributevalue.MarshalMap(map[string]any(v))
	if err != nil { // strings, numbers and our own structs always encode
		panic(err)
	}
	return av
}

func key(pk, sk string) map[string]types.AttributeValue {
	return values{"pk": pk, "sk": sk}.marshal()
}

// transact writes all the items or none. A condition that doesn't hold gives
// the code refused. Conflicts with other writes under way are tried again.
func (s *Store) transact(ctx context.Context, doing string, refused export.Code, items ...types.TransactWriteItem) error {
	return retry(ctx, doing, refused, func(ctx context.Context) error {
		_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items})
		return err
	})
}

// update writes one item; see transact.
func (s *Store) update(ctx context.Context, doing string, refused export.Code, u *types.Update) error {
	return retry(ctx, doing, refused, func(ctx context.Context) error {
		_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: u.TableName, Key: u.Key,
			UpdateExpression: u.UpdateExpression, ConditionExpression: u.ConditionExpression,
			ExpressionAttributeNames: u.ExpressionAttributeNames, ExpressionAttributeValues: u.ExpressionAttributeValues,
		})
		return err
	})
}

// retry calls write until it gets past the other transactions on its items.
func retry(ctx context.Context, doing string, refused export.Code, write func(context.Context) error) error {
	return translate(doing, refused, retryBusy(ctx, write))
}

// errBusy says that other transactions on the same items never let a write be
// done.
var errBusy = errors.New("other transactions are under way")

// retryBusy is retry with the SDK's own errors, or one that is errBusy. The
// SDK itself repeats what failed on the way, under one idempotency token.
func retryBusy(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	busy := false
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := write(ctx)
		switch {
		case isTransactionConflict(err):
			busy = true
		case err != nil && !isThrottled(err):
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(newPause()))
	if err != nil && busy && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

// newPause is how long to wait between tries.
func newPause() *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 20*time.Millisecond, maxPause
	return pause
}

func isTransactionConflict(err error) bool {
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		return true
	}
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	return ok && hasReason(canceled, "TransactionConflict") && !hasReason(canceled, "ConditionalCheckFailed")
}

// isThrottled reports whether a transaction wasn't done for want of capacity.
// The SDK repeats single writes for that, but no transaction (Amazon DynamoDB
// API Reference, TransactWriteItems, "Cancellation reasons").
func isThrottled(err error) bool {
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	return ok && !hasReason(canceled, "ConditionalCheckFailed") &&
		(hasReason(canceled, "ThrottlingError") || hasReason(canceled, "ProvisionedThroughputExceeded"))
}

// failedConditions are the places in a transaction whose conditions don't
// hold, if that is why it failed.
func failedConditions(err error) (places []int) {
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return nil
	}
	for i, r := range canceled.CancellationReasons {
		if aws.ToString(r.Code) == "ConditionalCheckFailed" {
			places = append(places, i)
		}
	}
	return places
}

func hasReason(err *types.TransactionCanceledException, code string) bool {
	for _, r := range err.CancellationReasons {
		if aws.ToString(r.Code) == code {
			return true
		}
	}
	return false
}

// translate names an error of DynamoDB in the domain's words: refused when a
// write's condition doesn't hold, Unavailable for everything else.
func translate(doing string, refused export.Code, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	_, single := errors.AsType[*types.ConditionalCheckFailedException](err)
	canceled, many := errors.AsType[*types.TransactionCanceledException](err)
	if single || many && hasReason(canceled, "ConditionalCheckFailed") {
		return &export.Error{Code: refused, Message: "The export has changed meanwhile.", Err: err}
	}
	return &export.Error{Code: export.Unavailable, Message: "The service's state can't be reached. Please try again.", Err: err}
}
