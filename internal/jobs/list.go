package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/internal/export"
)

const (
	// MaxPage is the largest page of a list.
	MaxPage = 100
	// maxQueries bounds the work for one page where the status filter leaves
	// most of an owner's exports out. The page is short then, but not the last.
	maxQueries = 10
)

// Position is a place in the list of an owner's exports: right after the
// export that it names.
type Position struct {
	CreatedAt time.Time
	ID        string
}

// List is a question for a page of an owner's exports.
type List struct {
	Owner  string
	Status export.Status // only exports with it, as Export.StatusAt sees them; empty for all
	After  *Position     // nil for the first page
	Size   int           // 1 to MaxPage
}

// List returns the owner's exports, the newest first, and where the next page
// begins: nil after the last one. A page may be short, even empty, and not be
// the last. An export that is created while somebody pages is before the
// first page, so that pages neither repeat nor miss any that the index has;
// it is a little behind the table.
func (s *Store) List(ctx context.Context, q List, now time.Time) ([]export.Export, *Position, error) {
	found, next, err := s.positions(ctx, q, now)
	if err != nil {
		return nil, nil, err
	}
	page := make([]export.Export, 0, len(found))
	for chunk := range slices.Chunk(found, maxRead) {
		ids := make([]string, len(chunk))
		for i, p := range chunk {
			ids[i] = p.ID
		}
		exports, err := s.read(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		page = append(page, exports...)
	}
	// What the index said may be over.
	page = slices.DeleteFunc(page, func(e export.Export) bool { return q.Status != "" && e.StatusAt(now) != q.Status })
	return page, next, nil
}

// positions reads a page of the index by owner.
func (s *Store) positions(ctx context.Context, q List, now time.Time) (page []Position, next *Position, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	input := s.ownerQuery(q, now)
	for range maxQueries {
		out, err := s.client.Query(ctx, input)
		if err != nil {
			return nil, nil, translate("list exports", export.Conflict, err)
		}
		for _, item := range out.Items {
			p, err := decodePosition(item)
			if err != nil {
				return nil, nil, err
			}
			if len(page) == q.Size { // one more than asked for: there is a next page
				return page, &page[q.Size-1], nil
			}
			page = append(page, p)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return page, nil, nil
		}
		input.ExclusiveStartKey = out.LastEvaluatedKey
	}
	last, err := decodePosition(input.ExclusiveStartKey)
	return page, &last, err
}

func (s *Store) ownerQuery(q List, now time.Time) *dynamodb.QueryInput {
	v := values{":owner": q.Owner, ":seconds": now.Unix()}
	filter := []string{"(attribute_not_exists(#ttl) OR #ttl >= :seconds)"}
	switch q.Status {
	case "":
	case export.Completed:
		filter = append(filter, "#status = :status", "(attribute_not_exists(expiresAt) OR expiresAt > :now)") // one in a destination has none
	case export.Expired: // or about to be, see Export.StatusAt
		filter = append(filter, "(#status = :status OR #status = :completed AND expiresAt <= :now)")
		v[":completed"] = export.Completed
	default:
		filter = append(filter, "#status = :status")
	}
	if q.Status != "" {
		v[":status"] = q.Status
	}
	expression := strings.Join(filter, " AND ")
	if strings.Contains(expression, ":now") {
		v[":now"] = formatTime(now)
	}
	limit := q.Size + 1
	if q.Status != "" {
		limit = MaxPage + 1 // of which the filter leaves out some
	}
	input := &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("by-owner"),
		KeyConditionExpression:    aws.String("#owner = :owner"),
		FilterExpression:          &expression,
		ProjectionExpression:      aws.String("pk, createdAt"),
		ExpressionAttributeNames:  names(expression),
		ExpressionAttributeValues: v.marshal(),
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(int32(limit)),
	}
	input.ExpressionAttributeNames["#owner"] = "owner"
	if q.After != nil {
		pk := exportPK(q.After.ID)
		input.ExclusiveStartKey = values{"owner": q.Owner, "createdAt": formatTime(q.After.CreatedAt), "pk": pk, "sk": jobSK}.marshal()
	}
	return input
}

// MaxAhead is the largest number that Ahead tells.
const MaxAhead = 100

// aheadTimeout bounds Ahead: a status is worth more than a place in the queue.
const aheadTimeout = time.Second

// Ahead counts the exports that have waited longer than e, of all owners, up
// to MaxAhead. It reads an index, which is a little behind the table. SQS lets
// the exports of quiet owners pass those of busy ones, so that fewer may come
// first.
func (s *Store) Ahead(ctx context.Context, e export.Export) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, aheadTimeout)
	defer cancel()
	out, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("by-queue"),
		KeyConditionExpression:    aws.String("queueShard = :shard AND createdAt < :created"),
		ExpressionAttributeValues: values{":shard": queueShard, ":created": formatTime(e.CreatedAt)}.marshal(),
		Select:                    types.SelectCount,
		Limit:                     aws.Int32(MaxAhead),
	})
	if err != nil {
		return 0, translate("count waiting exports", export.Conflict, err)
	}
	return int(out.Count), nil
}

// OldestWaiting returns when the export was created that has waited longest for
// a worker; the zero time if none waits. It reads an index, as Ahead does.
func (s *Store) OldestWaiting(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	out, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("by-queue"),
		KeyConditionExpression:    aws.String("queueShard = :shard"),
		ExpressionAttributeValues: values{":shard": queueShard}.marshal(),
		Limit:                     aws.Int32(1),
	})
	if err != nil {
		return time.Time{}, translate("look for the oldest waiting export", export.Conflict, err)
	}
	if len(out.Items) == 0 {
		return time.Time{}, nil
	}
	oldest, err := decodePosition(out.Items[0])
	return oldest.CreatedAt, err
}

func decodePosition(item map[string]types.AttributeValue) (Position, error) {
	var at struct {
		PK        string `dynamodbav:"pk"`
		CreatedAt string `dynamodbav:"createdAt"`
	}
	if err := attributevalue.UnmarshalMap(item, &at); err != nil {
		return Position{}, fmt.Errorf("decode listed export: %w", err)
	}
	created, err := parseTime(at.CreatedAt)
	if err != nil {
		return Position{}, fmt.Errorf("decode listed export: %w", err)
	}
	return Position{CreatedAt: created, ID: strings.TrimPrefix(at.PK, exportPK(""))}, nil
}
