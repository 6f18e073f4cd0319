// Package awsconfig is how the functions come to their AWS clients' settings
// and to secrets.
package awsconfig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Load returns the SDK's configuration from the function's environment.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	// Not before: the SDK has settings for its own client only (AWS_CA_BUNDLE).
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	cfg.HTTPClient = &httpClient{cfg.HTTPClient}
	return cfg, nil
}

// httpClient keeps smithy-go's request bodies from being read by their
// WriteTo. smithy-go (1.28.8) closes a body as soon as the answer's header has
// come, and a closed body's WriteTo returns io.EOF as an error; net/http, which
// may still be about to look for the body's end, then breaks the connection
// before the answer is read. The SDK repeats the call, though it was done.
type httpClient struct{ client aws.HTTPClient }

// Do implements the SDK's HTTPClient.
func (c *httpClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.client.Do(r)
}

// DatabaseURL returns the given connection URL, or where that is empty the one
// in the secret arn, which holds a connection in the JSON form that RDS writes
// (Secrets Manager User Guide, "JSON structure of secrets").
func DatabaseURL(ctx context.Context, cfg aws.Config, given, arn string) (string, error) {
	if given != "" {
		return given, nil
	}
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", arn, err)
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
