package secret

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

func TestText(t *testing.T) {
	if got, err := NewText(aws.Config{}, "given", "arn").Get(t.Context()); got != "given" || err != nil {
		t.Errorf("given: %q (%v)", got, err)
	}
	held, reads := "", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reads++
		if held == "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"__type":"AccessDeniedException"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": held})
	}))
	defer server.Close()
	s := NewText(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	}, "", "arn:aws:secretsmanager:us-east-1:000000000000:secret:hooks-abcdef")
	for _, step := range []struct {
		held  string // what Secrets Manager has; empty: it refuses
		later time.Duration
		want  string // empty for an error
		reads int
	}{
		{"", 0, "", 1},
		{"first", 0, "first", 2},
		{"second", 0, "first", 2},           // kept
		{"second", keepFor, "second", 3},    // read anew
		{"", keepFor, "second", 4},          // the last one is good
		{"third", time.Second, "second", 4}, // and kept as long
		{"third", keepFor, "third", 5},
	} {
		held, s.readAt = step.held, s.readAt.Add(-step.later)
		if got, err := s.Get(t.Context()); got != step.want || (err == nil) != (step.want != "") || reads != step.reads {
			t.Errorf("%+v: %q (%v), read %d times", step, got, err, reads)
		}
	}
}
