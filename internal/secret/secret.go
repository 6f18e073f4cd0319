// Package secret reads the database's secret. It is a package of its own so that
// only the functions that reach the database link Secrets Manager's client.
package secret

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"csvexport/internal/export"
)

// DatabaseURL returns the given connection URL, or where that is empty the one
// in the secret arn, which holds a connection in the JSON form that RDS writes
// (Secrets Manager User Guide, "JSON structure of secrets").
func DatabaseURL(ctx context.Context, cfg aws.Config, given, arn string) (string, error) {
	if given != "" {
		return given, nil
	}
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return "", &export.Error{
			Code: export.SourceUnreachable, Message: "The database's secret can't be read.", Err: fmt.Errorf("read secret %s: %w", arn, err),
		}
	}
	return databaseURL(aws.ToString(out.SecretString))
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
