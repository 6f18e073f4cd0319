package database

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"

	"csvexport/internal/config"
	"csvexport/internal/export"
)

// tokenFor is how long a token is used. It opens connections for 15 minutes
// (RDS User Guide, "IAM database authentication"), and RDS takes more of them
// in a second when they use the same one.
const tokenFor = 10 * time.Minute

// iamAddress tells the database's address with a token of IAM as its password.
type iamAddress struct {
	url         url.URL // without a password
	region      string
	credentials aws.CredentialsProvider

	mu     sync.Mutex
	token  string
	madeAt time.Time
}

// newIAMAddress returns the address at a connection URL without a password, for
// the user that cfg names. It makes no token yet.
func newIAMAddress(aws aws.Config, cfg config.Config) (*iamAddress, error) {
	user, err := config.ParseIAMUser(cfg.DatabaseIAMUser)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.DatabaseURL)
	if err != nil { // its text could hold a password
		return nil, fmt.Errorf("DATABASE_URL can't be read: it must be postgres://%s@HOST:PORT/DATABASE", user.Name)
	}
	return &iamAddress{url: *u, region: user.Region, credentials: aws.Credentials}, nil
}

// URL returns the connection URL. A token is kept for a while; when fresh, it is
// made anew. That asks nobody but the credentials' provider. The error's code is
// SourceUnreachable.
func (a *iamAddress) URL(ctx context.Context, fresh bool) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if fresh || a.token == "" || time.Since(a.madeAt) >= tokenFor {
		port := a.url.Port()
		if port == "" {
			port = "5432"
		}
		now := time.Now()
		// The name of the host is signed: it must be the one that RDS gave.
		token, err := auth.BuildAuthToken(ctx, net.JoinHostPort(a.url.Hostname(), port), a.region, a.url.User.Username(), a.credentials)
		if err != nil {
			return "", &export.Error{
				Code: export.SourceUnreachable, Message: "The service can't sign in to the database.", Err: fmt.Errorf("make a token of IAM: %w", err),
			}
		}
		a.token, a.madeAt = token, now
	}
	u := a.url
	u.User = url.UserPassword(a.url.User.Username(), a.token)
	return u.String(), nil
}
