// Package secret reads secrets: the database's, and that of the settings'
// webhooks. It is a package of its own so that only the functions that need one
// link Secrets Manager's client.
package secret

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"csvexport/internal/export"
)

const (
	// keepFor is how long a secret is used without looking for a newer one.
	keepFor = 5 * time.Minute
	// readEvery is how often it is read at most because Postgres refuses it.
	readEvery = 5 * time.Second
	// readTimeout bounds a read, retries included.
	readTimeout = 5 * time.Second
)

// Database is where the functions learn the database's address.
type Database struct {
	client *secretsmanager.Client
	arn    string

	mu     sync.Mutex // held during a read, so that all who ask wait for one
	url    string
	readAt time.Time // of the last try
	forced time.Time // of the last one after a refused login
}

// NewDatabase returns the address at the given connection URL, or where that is
// empty the one in the secret arn, which holds a connection in the JSON form
// that RDS writes (Secrets Manager User Guide, "JSON structure of secrets").
// It reads nothing yet.
func NewDatabase(cfg aws.Config, given, arn string) *Database {
	if given != "" {
		return &Database{url: given}
	}
	return &Database{client: secretsmanager.NewFromConfig(cfg), arn: arn}
}

// URL returns the database's connection URL. A secret is kept for a while; when
// fresh, it is read anew, unless it was just now. As long as it can't be read,
// the last one is good. The error's code is SourceUnreachable.
func (d *Database) URL(ctx context.Context, fresh bool) (string, error) {
	if d.client == nil {
		return d.url, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if fresh = fresh && time.Since(d.forced) >= readEvery; fresh {
		d.forced = time.Now()
	}
	if d.url != "" && !fresh && time.Since(d.readAt) < keepFor {
		return d.url, nil
	}
	read, err := d.read(ctx)
	d.readAt = time.Now()
	switch {
	case err == nil:
		d.url = read
	case d.url != "":
		slog.WarnContext(ctx, "the database's secret can't be read; the last one is used", "error", err)
	default:
		return "", err
	}
	return d.url, nil
}

func (d *Database) read(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out, err := d.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &d.arn})
	if err == nil {
		var address string
		if address, err = databaseURL(aws.ToString(out.SecretString)); err == nil {
			return address, nil
		}
	}
	return "", &export.Error{
		Code: export.SourceUnreachable, Message: "The database's secret can't be read.", Err: fmt.Errorf("read secret %s: %w", d.arn, err),
	}
}

func databaseURL(secret string) (string, error) {
	s := struct {
		Host, Username, Password string
		Port                     int
		DBName                   string `json:"dbname"`
	}{Port: 5432, DBName: "postgres"}
	// The decoder's error could quote the secret.
	if json.Unmarshal([]byte(secret), &s) != nil || s.Host == "" || s.Username == "" {
		return "", fmt.Errorf("the database secret isn't a JSON object with host, username and password")
	}
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(s.Username, s.Password),
		Host:   net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		Path:   "/" + s.DBName,
	}
	return u.String(), nil
}
