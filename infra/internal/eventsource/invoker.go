package eventsource

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

// errNotRun marks an invocation that did not take place: the function is at
// its limit, or the Invoke API can't be reached.
var errNotRun = errors.New("the function was not run")

// invoker calls one function over the Lambda Invoke API, so that any server of
// that API can stand behind it.
type invoker struct {
	url    string
	client *http.Client
}

func newInvoker(base, function string) invoker {
	return invoker{
		url: strings.TrimSuffix(base, "/") + "/2015-03-31/functions/" + url.PathEscape(function) + "/invocations",
		// No proxy, and no timeout: a function may take as long as it may.
		client: &http.Client{Transport: &http.Transport{}},
	}
}

func (i invoker) close() { i.client.CloseIdleConnections() }

// invoke returns the function's answer. The error wraps errNotRun, or tells that the function failed.
func (i invoker) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url, bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("invoke by %s: %w", i.url, err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := i.client.Do(r)
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return nil, fmt.Errorf("%w: %w", errNotRun, err)
	}
	if err != nil {
		return nil, fmt.Errorf("invoke by %s: %w", i.url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", i.url, err)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		return nil, fmt.Errorf("%w: %s: %s", errNotRun, resp.Status, bytes.TrimSpace(body))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("invoke by %s: %s: %s", i.url, resp.Status, bytes.TrimSpace(body))
	case resp.Header.Get("X-Amz-Function-Error") != "":
		return nil, fmt.Errorf("the function failed: %s", bytes.TrimSpace(body))
	}
	return body, nil
}
