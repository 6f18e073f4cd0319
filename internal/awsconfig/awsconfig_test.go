package awsconfig

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// closedBody is a body whose WriteTo fails, as that of a closed body does.
type closedBody struct{ io.Reader }

func (closedBody) WriteTo(io.Writer) (int64, error) { return 0, errors.New("WriteTo was called") }
func (closedBody) Close() error                     { return nil }

func TestHTTPClient_readsBodies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, closedBody{strings.NewReader("abc")})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 3
	resp, err := (&httpClient{awshttp.NewBuildableClient()}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "abc" {
		t.Errorf("answer %q, error %v", body, err)
	}
}

func TestDatabaseURL(t *testing.T) {
	for _, test := range []struct{ name, secret, want string }{
		{
			"as RDS writes it",
			`{"engine":"postgres","host":"db.example","port":5433,"username":"u","password":"p@ss/w:rd?#","dbname":"app"}`,
			"postgres://u:p%40ss%2Fw%3Ard%3F%23@db.example:5433/app",
		},
		{"without port and database", `{"host":"db","username":"u","password":"p"}`, "postgres://u:p@db:5432/postgres"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := databaseURL(test.secret); err != nil || got != test.want {
				t.Errorf("databaseURL = %q, %v; want %q", got, err, test.want)
			}
		})
	}
	for _, secret := range []string{"", "hunter2", `{"password":"hunter2"}`} {
		if _, err := databaseURL(secret); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("databaseURL(%q): error %v, want one that doesn't tell the secret", secret, err)
		}
	}
}
