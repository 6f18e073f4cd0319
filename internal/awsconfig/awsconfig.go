// Package awsconfig is how the functions come to their AWS clients' settings.
package awsconfig

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
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
