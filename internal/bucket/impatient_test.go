package bucket

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A request that stands still is sent again; one that goes on, if slowly, isn't.
func TestImpatientClient(t *testing.T) {
	const patience = 500 * time.Millisecond
	for name, test := range map[string]struct {
		first http.HandlerFunc
		calls int32
	}{
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, 2},
		"body not taken": {func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(3 * patience) // more than the socket holds is never read
			panic(http.ErrAbortHandler)
		}, 2},
		"slow answer": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			time.Sleep(patience / 2)
			w.WriteHeader(http.StatusOK)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					test.first(w, r)
				} else {
					_, _ = io.Copy(io.Discard, r.Body)
				}
			}))
			defer server.Close()
			client := s3.New(s3.Options{
				BaseEndpoint: &server.URL, UsePathStyle: true, Region: "us-east-1",
				Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
				HTTPClient:  &impatientClient{http.DefaultClient, patience},
			})
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String("b"), Key: aws.String("k"), Body: bytes.NewReader(make([]byte, 16<<20)),
			})
			if err != nil || calls.Load() != test.calls {
				t.Errorf("%d calls, error %v, want %d and none", calls.Load(), err, test.calls)
			}
			if errors.Is(err, errStandstill) {
				t.Error("given up")
			}
		})
	}
}
