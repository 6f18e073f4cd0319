package secret

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"csvexport/internal/export"
)

// manager is a Secrets Manager with one secret, which may be away.
type manager struct {
	password atomic.Pointer[string] // nil: it is away
	reads    atomic.Int32
}

func (m *manager) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.reads.Add(1)
	password := m.password.Load()
	if password == nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"AccessDeniedException"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": `{"host":"db","username":"u","password":"` + *password + `"}`})
}

func TestDatabase_URL(t *testing.T) {
	m := &manager{}
	server := httptest.NewServer(m)
	defer server.Close()
	d := NewDatabase(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	}, "", "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-abcdef")
	ask := func(fresh bool, want string, reads int32) {
		t.Helper()
		got, err := d.URL(t.Context(), fresh)
		if want == "" {
			if export.CodeOf(err) != export.SourceUnreachable {
				t.Errorf("URL %s, error %v, want none", got, err)
			}
		} else if err != nil || got != "postgres://u:"+want+"@db:5432/postgres" {
			t.Errorf("URL %s, error %v, want the password %s", got, err, want)
		}
		if n := m.reads.Load(); n != reads {
			t.Errorf("read %d times, want %d", n, reads)
		}
	}
	later := func(by time.Duration) { d.readAt = d.readAt.Add(-by) }
	ask(false, "", 1)
	m.password.Store(new("first"))
	ask(false, "first", 2)
	ask(false, "first", 2) // kept
	m.password.Store(new("second"))
	ask(false, "first", 2)
	ask(true, "second", 3) // Postgres refused the first
	m.password.Store(new("third"))
	ask(true, "second", 3) // not again at once
	d.forced = d.forced.Add(-readEvery)
	ask(true, "third", 4)
	later(keepFor)
	m.password.Store(nil)
	ask(false, "third", 5) // the last one is good
}

// A URL of one's own needs no secret.
func TestDatabase_URL_given(t *testing.T) {
	if got, err := NewDatabase(aws.Config{}, "postgres://u@db/app", "").URL(t.Context(), true); err != nil || got != "postgres://u@db/app" {
		t.Errorf("URL %s, error %v", got, err)
	}
}
