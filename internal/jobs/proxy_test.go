package jobs_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"csvexport/internal/jobs"
	"csvexport/internal/servertest"
)

// batch is the request of a BatchGetItem.
type batch struct {
	RequestItems map[string]struct {
		Keys           []json.RawMessage
		ConsistentRead bool
	}
}

// shortOfCapacity stands before DynamoDB and gives of each BatchGetItem at most
// the given number of items: the others are unprocessed (Amazon DynamoDB API
// Reference, BatchGetItem). It remembers how many keys each call asked for.
type shortOfCapacity struct {
	*httptest.Server
	most int

	mu    sync.Mutex
	asked []int
}

func newShortOfCapacity(t *testing.T, most int) *shortOfCapacity {
	t.Helper()
	target, err := url.Parse(os.Getenv("TEST_DYNAMODB_URL"))
	if err != nil {
		t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(target)
	p := &shortOfCapacity{most: most}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".BatchGetItem") {
			through.ServeHTTP(w, r)
			return
		}
		var request, rest batch
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		rest.RequestItems = map[string]struct {
			Keys           []json.RawMessage
			ConsistentRead bool
		}{}
		for table, items := range request.RequestItems {
			p.mu.Lock()
			p.asked = append(p.asked, len(items.Keys))
			p.mu.Unlock()
			if n := min(p.most, len(items.Keys)); n < len(items.Keys) {
				left := items
				left.Keys = items.Keys[n:]
				rest.RequestItems[table] = left
				items.Keys = items.Keys[:n]
				request.RequestItems[table] = items
			}
		}
		body, err := json.Marshal(request)
		if err != nil {
			t.Error(err)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		answer := httptest.NewRecorder()
		through.ServeHTTP(answer, r)
		var reply map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &reply); err != nil {
			t.Error(err)
		}
		reply["UnprocessedKeys"] = rest.RequestItems
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		if err := json.NewEncoder(w).Encode(reply); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// What DynamoDB leaves for want of capacity is asked for again, and no call
// asks for more than the 100 items that it allows.
func TestStore_shortOfCapacity(t *testing.T) {
	f := newFixture(t)
	for range 60 {
		f.create(t)
	}
	p := newShortOfCapacity(t, 70)
	f.Store = jobs.New(servertest.AWSAt(t, p.URL), f.table)
	if got := f.list(t, jobs.List{Owner: "anonymous", Size: jobs.MaxPage}, now); len(got) != 60 {
		t.Errorf("%d exports, want 60", len(got))
	}
	again := false
	for _, n := range p.asked {
		again = again || n == 30
		if n > 100 {
			t.Errorf("a call asked for %d items", n)
		}
	}
	if !again {
		t.Errorf("calls for %v items: the fault didn't fire", p.asked)
	}
}
