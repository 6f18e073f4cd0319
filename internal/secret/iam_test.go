package secret

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
)

// function has credentials as Lambda gives them.
type function struct{ err error }

func (f function) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "never sent", SessionToken: "session/+="}, f.err
}

func newToken(t *testing.T, given string, err error) *Token {
	t.Helper()
	token, newErr := NewToken(aws.Config{Region: "us-east-1", Credentials: function{err}}, given, "eu-west-1")
	if newErr != nil {
		t.Fatal(newErr)
	}
	return token
}

// The driver gets as its password what RDS's manual describes: a presigned
// request to connect, to the host by the name that RDS gave it, without https://.
func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock begins with the year 2000
		const host = "prod.abc123.eu-west-1.rds.amazonaws.com"
		for port, address := range map[string]string{
			"5432": "postgres://csv_export@" + host + "/shop",
			"6543": "postgres://csv_export@" + host + ":6543/shop?sslmode=verify-full",
		} {
			text, err := newToken(t, address, nil).URL(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			password, _ := u.User.Password()
			if u.Hostname() != host || u.User.Username() != "csv_export" || u.Path != "/shop" || strings.Contains(password, "never sent") {
				t.Errorf("connection to %s as %s, database %s", u.Host, u.User.Username(), u.Path)
			}
			token, err := url.Parse("https://" + password)
			if err != nil {
				t.Fatal(err)
			}
			if token.Host != host+":"+port || strings.Trim(token.Path, "/") != "" {
				t.Errorf("the token is for %s%s, want %s:%s", token.Host, token.Path, host, port)
			}
			got := token.Query()
			if signature := got.Get("X-Amz-Signature"); len(signature) != 64 {
				t.Errorf("signature %q", signature)
			}
			got.Del("X-Amz-Signature")
			want := url.Values{
				"Action": {"connect"}, "DBUser": {"csv_export"}, "X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Date": {"20000101T000000Z"},
				"X-Amz-Credential": {"AKIDEXAMPLE/20000101/eu-west-1/rds-db/aws4_request"}, "X-Amz-Expires": {"900"}, "X-Amz-SignedHeaders": {"host"},
				"X-Amz-Security-Token": {"session/+="},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
		}
	})
}

// A token is used for less than its 15 minutes, and made anew when Postgres
// refuses it.
func TestToken_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newToken(t, "postgres://csv_export@db.example/shop", nil)
		last := ""
		for _, step := range []struct {
			later time.Duration
			fresh bool
			same  bool
		}{{0, false, false}, {9 * time.Minute, false, true}, {time.Minute, false, false}, {time.Second, true, false}, {time.Minute, false, true}} {
			time.Sleep(step.later)
			text, err := a.URL(t.Context(), step.fresh)
			if err != nil || (text == last) != step.same {
				t.Errorf("%+v: the same token: %v, error %v", step, text == last, err)
			}
			last = text
		}
	})
}

// Without credentials the database is out of reach for now, which another
// attempt may mend.
func TestToken_noCredentials(t *testing.T) {
	_, err := newToken(t, "postgres://csv_export@db.example/shop", errors.New("no role")).URL(t.Context(), false)
	if export.CodeOf(err) != export.SourceUnreachable || !strings.Contains(err.Error(), "no role") {
		t.Errorf("error %v", err)
	}
}
