package servertest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// Busy stands before DynamoDB and cancels the first so many transactions for a
// reason of their third item: TransactionConflict, say (Amazon DynamoDB API
// Reference, TransactWriteItems). It returns its URL and how often it was asked.
func Busy(t testing.TB, reason string, transactions int64) (address string, fired *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(env(t, "TEST_DYNAMODB_URL"))
	if err != nil {
		t.Fatal(err)
	}
	through, fired := httputil.NewSingleHostReverseProxy(target), new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems") {
			through.ServeHTTP(w, r)
			return
		}
		if fired.Add(1) > transactions {
			through.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"Transaction cancelled",` +
			`"CancellationReasons":[{"Code":"None"},{"Code":"None"},{"Code":"` + reason + `"},{"Code":"None"},{"Code":"None"}]}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, fired
}
