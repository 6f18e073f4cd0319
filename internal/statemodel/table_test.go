package statemodel

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// table is a DynamoDB table that lives in memory.
type table struct {
	items map[string]record // by pk and sk

	// edit changes a request's expressions before they are evaluated: so bugs
	// are planted.
	edit func(condition, update string, values map[string]value) (string, string)
	// swallow says which items are never written though it was said so, and hide
	// which ones no index shows; nil for none.
	swallow, hide func(item record) bool
	// wrote is told of each item that a request changed.
	wrote func(before, after record)
}

type write struct {
	Key                       record
	Item                      record
	ConditionExpression       string
	UpdateExpression          string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]value
}

func place(key record) string { return fmt.Sprint(key["pk"]["S"], " ", key["sk"]["S"]) }

// do answers a request of the API (Amazon DynamoDB API Reference).
func (t *table) do(target string, body []byte) (status int, answer any) {
	_, operation, _ := strings.Cut(target, ".")
	switch operation {
	case "UpdateItem":
		var w write
		decode(body, &w)
		if !t.allowed(w) {
			return http.StatusBadRequest, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "The conditional request failed"}
		}
		t.apply(w)
		return http.StatusOK, map[string]any{}
	case "DeleteItem":
		var w write
		decode(body, &w)
		if !t.allowed(w) {
			return http.StatusBadRequest, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "The conditional request failed"}
		}
		delete(t.items, w.at())
		return http.StatusOK, map[string]any{}
	case "TransactWriteItems":
		return t.transact(body)
	case "GetItem":
		var r struct{ Key record }
		decode(body, &r)
		if item, ok := t.items[place(r.Key)]; ok {
			return http.StatusOK, map[string]any{"Item": item}
		}
		return http.StatusOK, map[string]any{}
	case "BatchGetItem":
		var r struct {
			RequestItems map[string]struct{ Keys []record }
		}
		decode(body, &r)
		responses := map[string][]record{}
		for name, request := range r.RequestItems {
			responses[name] = []record{}
			for _, key := range request.Keys {
				if item, ok := t.items[place(key)]; ok {
					responses[name] = append(responses[name], item)
				}
			}
		}
		return http.StatusOK, map[string]any{"Responses": responses, "UnprocessedKeys": map[string]any{}}
	case "Query":
		return http.StatusOK, t.query(body)
	default:
		panic("operation " + operation)
	}
}

func decode(body []byte, into any) {
	if err := json.Unmarshal(body, into); err != nil {
		panic(err)
	}
}

// prepare applies the edit.
func (t *table) prepare(w write) write {
	if t.edit != nil {
		w.ExpressionAttributeValues = maps.Clone(w.ExpressionAttributeValues)
		w.ConditionExpression, w.UpdateExpression = t.edit(w.ConditionExpression, w.UpdateExpression, w.ExpressionAttributeValues)
	}
	return w
}

func (w write) at() string {
	if w.Item != nil {
		return place(w.Item)
	}
	return place(w.Key)
}

func (t *table) allowed(w write) bool {
	w = t.prepare(w)
	return w.ConditionExpression == "" || newExpression(w.ConditionExpression, w.ExpressionAttributeNames, w.ExpressionAttributeValues).holds(t.items[w.at()])
}

func (t *table) apply(w write) {
	w = t.prepare(w)
	before := t.items[w.at()]
	after := w.Item
	if after == nil {
		base := before
		if base == nil {
			base = maps.Clone(w.Key)
		}
		after = newExpression(w.UpdateExpression, w.ExpressionAttributeNames, w.ExpressionAttributeValues).update(base)
	}
	if t.swallow != nil && t.swallow(after) {
		return
	}
	t.items[w.at()] = after
	if t.wrote != nil {
		t.wrote(before, after)
	}
}

func (t *table) transact(body []byte) (status int, answer any) {
	var r struct {
		TransactItems []struct{ Put, Update, ConditionCheck *write }
	}
	decode(body, &r)
	var reasons []map[string]string
	failed := false
	for _, item := range r.TransactItems {
		for _, w := range []*write{item.Put, item.Update, item.ConditionCheck} {
			if w == nil {
				continue
			}
			code := "None"
			if !t.allowed(*w) {
				code, failed = "ConditionalCheckFailed", true
			}
			reasons = append(reasons, map[string]string{"Code": code})
		}
	}
	if failed {
		return http.StatusBadRequest, map[string]any{
			"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "message": "Transaction cancelled", "CancellationReasons": reasons,
		}
	}
	for _, item := range r.TransactItems {
		for _, w := range []*write{item.Put, item.Update} {
			if w != nil {
				t.apply(*w)
			}
		}
	}
	return http.StatusOK, map[string]any{}
}

// query answers from an index, in the order of its second key.
// sortKeys are those of the indexes.
var sortKeys = map[string]string{"by-owner": "createdAt", "by-due-time": "dueAt", "by-queue": "createdAt"}

func (t *table) query(body []byte) any {
	var r struct {
		IndexName, KeyConditionExpression, FilterExpression, Select string
		ExpressionAttributeNames                                    map[string]string
		ExpressionAttributeValues                                   map[string]value
		Limit                                                       int
	}
	decode(body, &r)
	order := sortKeys[r.IndexName]
	found := []record{}
	for _, item := range t.items {
		if _, there := item[order]; !there || t.hide != nil && t.hide(item) {
			continue
		}
		condition := newExpression(r.KeyConditionExpression, r.ExpressionAttributeNames, r.ExpressionAttributeValues)
		if !condition.holds(item) {
			continue
		}
		if r.FilterExpression == "" || newExpression(r.FilterExpression, r.ExpressionAttributeNames, r.ExpressionAttributeValues).holds(item) {
			found = append(found, item)
		}
	}
	slices.SortFunc(found, func(a, b record) int {
		c, _ := compare(a[order], b[order])
		if c == 0 {
			c = strings.Compare(place(a), place(b))
		}
		return c
	})
	if r.Limit > 0 && len(found) > r.Limit {
		found = found[:r.Limit]
	}
	if r.Select == "COUNT" {
		return map[string]any{"Count": len(found)}
	}
	return map[string]any{"Items": found, "Count": len(found)}
}
