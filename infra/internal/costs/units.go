package costs

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// indexUnits is what a write of a job's item costs in its indexes, at most: its
// entry in by-owner changes with the status (1), that in by-due-time moves (2),
// and that in by-queue appears or goes (1).
const indexUnits = 4

// dynamoCall is what the requests of the operations in use have in common
// (DynamoDB API Reference).
type dynamoCall struct {
	Key, Item      map[string]attribute
	ConsistentRead bool
	RequestItems   map[string]struct {
		Keys           []map[string]attribute
		ConsistentRead bool
	}
	TransactItems []map[string]struct { // by Put, Update, Delete or ConditionCheck
		Key, Item map[string]attribute
	}
}

type attribute struct{ S string }

// kind is the sort of an item: its sort key, without what numbers it.
func kind(key map[string]attribute) string {
	sk, _, _ := strings.Cut(key["sk"].S, "#")
	return sk
}

// units are what DynamoDB bills a call as (Developer Guide, "DynamoDB read and
// write operations"): a write unit for each KiB of an item, two of them within a
// transaction; a read unit for 4 KiB, half of one where a read may be old.
// Sizes are those of each kind of item; a conditional check counts as a write.
func units(operation, body string, sizes map[string]int) (reads, writes float64, err error) {
	var call dynamoCall
	if err := json.Unmarshal([]byte(body), &call); err != nil {
		return 0, 0, fmt.Errorf("body of %s: %w", operation, err)
	}
	write := func(key map[string]attribute) float64 {
		size := sizes[kind(key)]
		n := max(1, math.Ceil(float64(size)/1024))
		if kind(key) == "job" {
			n += indexUnits
		}
		return n
	}
	read := func(key map[string]attribute, consistent bool) float64 {
		n := max(1, math.Ceil(float64(sizes[kind(key)])/4096))
		if !consistent {
			n /= 2
		}
		return n
	}
	switch operation {
	case "GetItem":
		reads = read(call.Key, call.ConsistentRead)
	case "BatchGetItem":
		for _, table := range call.RequestItems {
			for _, key := range table.Keys {
				reads += read(key, table.ConsistentRead)
			}
		}
	case "Query": // of indexes with keys only: a page of what an owner or the sweep looks at is below 4 KiB
		reads = 0.5
	case "PutItem":
		writes = write(call.Item)
	case "UpdateItem", "DeleteItem":
		writes = write(call.Key)
	case "TransactWriteItems":
		for _, action := range call.TransactItems {
			for name, item := range action {
				key := item.Key
				if name == "Put" {
					key = item.Item
				}
				writes += 2 * write(key)
			}
		}
	default:
		return 0, 0, fmt.Errorf("what DynamoDB bills %s as isn't known here", operation)
	}
	return reads, writes, nil
}

// itemSize is an item's size in bytes (Developer Guide, "DynamoDB item sizes
// and formats"): names and values; a number has a byte for two digits and one more.
func itemSize(item map[string]types.AttributeValue) int {
	size := 0
	for name, value := range item {
		size += len(name) + valueSize(value)
	}
	return size
}

func valueSize(value types.AttributeValue) int {
	const entry = 1 // of a list or a map, beside 3 for the whole
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberSS:
		return len(strings.Join(v.Value, ""))
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value)*entry + itemSize(v.Value)
	case *types.AttributeValueMemberL:
		size := 3
		for _, e := range v.Value {
			size += entry + valueSize(e)
		}
		return size
	default: // a boolean or NULL
		return 1
	}
}

func stringOf(value types.AttributeValue) string {
	if s, ok := value.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}
