package secret

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"

	"csvexport/internal/export"
)

// tokenFor is how long a token is used. It opens connections for 15 minutes
// (RDS User Guide, "IAM database authentication"), and RDS takes more of them
// in a second when they use the same one.
const tokenFor = 10 * time.Minute

// Token is where the functions learn the address of a database that they sign
// in to by IAM: a token takes the password's place.
type Token struct {
	url         url.URL // without a password
	region      string
	credentials aws.CredentialsProvider

	mu     sync.Mutex
	token  string
	madeAt time.Time
}

// NewToken returns the address at a connection URL without a password, of a
// database in a region. It makes no token yet. The error tells nothing of the
// URL.
func NewToken(cfg aws.Config, given, region string) (*Token, error) {
	u, err := url.Parse(given)
	if err != nil {
		return nil, errors.New("the database URL can't be read: it must be postgres://USER@HOST:PORT/DATABASE")
	}
	return &Token{url: *u, region: region, credentials: cfg.Credentials}, nil
}

// URL returns the connection URL. A token is kept for a while; when fresh, it is
// made anew. That asks nobody but the credentials' provider. The error's code is
// SourceUnreachable.
func (t *Token) URL(ctx context.Context, fresh bool) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fresh || t.token == "" || time.Since(t.madeAt) >= tokenFor {
		port := t.url.Port()
		if port == "" {
			port = "5432"
		}
		now := time.Now()
		// The name of the host is signed: it must be the one that RDS gave.
		token, err := auth.BuildAuthToken(ctx, net.JoinHostPort(t.url.Hostname(), port), t.region, t.url.User.Username(), t.credentials)
		if err != nil {
			return "", &export.Error{
				Code: export.SourceUnreachable, Message: "The service can't sign in to the database.", Err: fmt.Errorf("make a token of IAM: %w", err),
			}
		}
		t.token, t.madeAt = token, now
	}
	u := t.url
	u.User = url.UserPassword(t.url.User.Username(), t.token)
	return u.String(), nil
}
