package statemodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"csvexport/internal/servertest"
)

// asked is a request to DynamoDB and what the table in memory answered.
type asked struct {
	target string
	body   []byte
	status int
	answer any
}

// The table in memory answers as a real server of the API does: the requests of
// random sequences are sent to the emulator as well, in the same order.
func TestTable(t *testing.T) {
	setFlag(t, "rapid.nofailfile", "true")
	setFlag(t, "rapid.checks", "150")
	total := 0
	rapid.Check(t, func(rt *rapid.T) {
		var requests []asked
		var thrown any
		synctest.Test(t, func(*testing.T) {
			defer func() { thrown = recover() }()
			w := newWorld()
			w.services.asked = func(a asked) { requests = append(requests, a) }
			sequence(rt, w)
			w.end()
		})
		if thrown != nil {
			panic(thrown)
		}
		name := servertest.Table(t)
		for i, a := range requests {
			body := bytes.ReplaceAll(a.body, []byte(`"TableName":"table"`), []byte(`"TableName":"`+name+`"`))
			body = bytes.ReplaceAll(body, []byte(`"RequestItems":{"table":`), []byte(`"RequestItems":{"`+name+`":`))
			status, answer := post(t, a.target, body)
			if status != a.status {
				rt.Fatalf("request %d, %s %s:\nthe emulator answers %d %v\nthe table in memory %d %v", i, a.target, body, status, answer, a.status, a.answer)
			}
			answer = bytes.ReplaceAll(answer, []byte(`"`+name+`"`), []byte(`"table"`))
			keep := kept(t, body)
			if diff := cmp.Diff(essence(t, a.answer, keep), essence(t, json.RawMessage(answer), keep)); diff != "" {
				rt.Fatalf("request %d, %s %s (-memory +emulator):\n%s", i, a.target, body, diff)
			}
		}
		total += len(requests)
	})
	t.Logf("%d requests compared", total)
}

func post(t *testing.T, target string, body []byte) (status int, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, os.Getenv("TEST_DYNAMODB_URL"), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261127/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// kept are the attributes of a query's items that are compared: their keys (an
// index may hold more than its projection here), or, if it asks for the first
// ones only, what they are sorted by. Of items with the same sort key, DynamoDB
// may say of any that they are the first.
func kept(t *testing.T, body []byte) []string {
	t.Helper()
	var r struct {
		IndexName string
		Limit     int
	}
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatal(err)
	}
	if r.Limit > 0 {
		return []string{sortKeys[r.IndexName]}
	}
	return []string{"pk", "sk"}
}

// essence is what an answer says, without what the service doesn't look at; of
// the items of a query, it is the attributes named by keep.
func essence(t *testing.T, answer any, keep []string) any {
	t.Helper()
	b, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Type      string `json:"__type"`
		Item      map[string]any
		Items     []map[string]any
		Count     int
		Responses map[string][]map[string]any
		Reasons   []struct{ Code string } `json:"CancellationReasons"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	m.Type = m.Type[strings.LastIndex(m.Type, "#")+1:]
	if len(m.Item) == 0 {
		m.Item = nil
	}
	for _, items := range m.Responses { // in any order
		sortItems(items, "pk", "sk")
	}
	for i, item := range m.Items {
		m.Items[i] = map[string]any{}
		for _, attribute := range keep {
			m.Items[i][attribute] = item[attribute]
		}
	}
	sortItems(m.Items, keep...)
	return m
}

func sortItems(items []map[string]any, by ...string) {
	text := func(item map[string]any) (s string) {
		for _, attribute := range by {
			s += fmt.Sprint(item[attribute])
		}
		return s
	}
	slices.SortFunc(items, func(a, b map[string]any) int { return strings.Compare(text(a), text(b)) })
}
