// Package invoke calls functions over the Lambda Invoke API, so that any server
// of that API can stand behind it: the stack's own, or `sam local start-lambda`.
package invoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// ErrNotRun marks an invocation that did not take place: the function is at
// its limit, or the Invoke API can't be reached.
var ErrNotRun = errors.New("the function was not run")

// Function is one function of a server.
type Function struct {
	url    string
	client *http.Client
}

// New returns the function of that name, or logical ID, of the server at a base URL.
func New(base, function string) Function {
	return Function{
		url: strings.TrimSuffix(base, "/") + "/2015-03-31/functions/" + url.PathEscape(function) + "/invocations",
		// No proxy, and no timeout: a function may take as long as it may.
		client: &http.Client{Transport: &http.Transport{}},
	}
}

// Close closes idle connections.
func (f Function) Close() { f.client.CloseIdleConnections() }

// Invoke returns the function's answer. The error wraps ErrNotRun, or tells that the function failed.
func (f Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("invoke by %s: %w", f.url, err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := f.client.Do(r)
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return nil, fmt.Errorf("%w: %w", ErrNotRun, err)
	}
	if err != nil {
		return nil, fmt.Errorf("invoke by %s: %w", f.url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", f.url, err)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		return nil, fmt.Errorf("%w: %s: %s", ErrNotRun, resp.Status, bytes.TrimSpace(body))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("invoke by %s: %s: %s", f.url, resp.Status, bytes.TrimSpace(body))
	case resp.Header.Get("X-Amz-Function-Error") != "":
		return nil, fmt.Errorf("the function failed: %s", bytes.TrimSpace(body))
	}
	return body, nil
}
