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

// kept is a secret that is used for a while, and then read anew. As long as it
// can't be read, the last one is good.
type kept struct {
	whose string                                    // for the log
	read  func(ctx context.Context) (string, error) // nil: value was given

	mu     sync.Mutex // held during a read, so that all who ask wait for one
	value  string
	readAt time.Time // of the last try
	forced time.Time // of the last one that was fresh
}

// get returns the secret; when fresh, it is read anew, unless it was just now.
func (k *kept) get(ctx context.Context, fresh bool) (string, error) {
	if k.read == nil {
		return k.value, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if fresh = fresh && time.Since(k.forced) >= readEvery; fresh {
		k.forced = time.Now()
	}
	if k.value != "" && !fresh && time.Since(k.readAt) < keepFor {
		return k.value, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	value, err := k.read(ctx)
	k.readAt = time.Now()
	switch {
	case err == nil:
		k.value = value
	case k.value != "":
		slog.WarnContext(ctx, k.whose+" secret can't be read; the last one is used", "error", err)
	default:
		return "", err
	}
	return k.value, nil
}

// Database is where the functions learn the database's address.
type Database struct{ kept }

// NewDatabase returns the address at the given connection URL, or where that is
// empty the one in the secret arn, which holds a connection in the JSON form
// that RDS writes (Secrets Manager User Guide, "JSON structure of secrets").
// It reads nothing yet.
func NewDatabase(cfg aws.Config, given, arn string) *Database {
	if given != "" {
		return &Database{kept{value: given}}
	}
	client := secretsmanager.NewFromConfig(cfg)
	return &Database{kept{whose: "the database's", read: func(ctx context.Context) (string, error) {
		text, err := readText(ctx, client, arn)
		if err == nil {
			text, err = databaseURL(text)
		}
		if err != nil {
			return "", &export.Error{
				Code: export.SourceUnreachable, Message: "The database's secret can't be read.", Err: fmt.Errorf("read secret %s: %w", arn, err),
			}
		}
		return text, nil
	}}}
}

// URL returns the database's connection URL. A secret is kept for a while; when
// fresh, it is read anew, unless it was just now. As long as it can't be read,
// the last one is good. The error's code is SourceUnreachable.
func (d *Database) URL(ctx context.Context, fresh bool) (string, error) { return d.get(ctx, fresh) }

func readText(ctx context.Context, client *secretsmanager.Client, arn string) (string, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SecretString), nil
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
