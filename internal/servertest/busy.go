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

// Busy stands before DynamoDB and answers every transaction as if another one
// were under way on its third item (Amazon DynamoDB API Reference,
// TransactWriteItems). It returns its URL and how often that was.
func Busy(t testing.TB) (address string, fired *atomic.Int64) {
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
		fired.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"Transaction cancelled",` +
			`"CancellationReasons":[{"Code":"None"},{"Code":"None"},{"Code":"TransactionConflict"},{"Code":"None"},{"Code":"None"}]}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, fired
}
