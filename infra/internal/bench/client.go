package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"csvexport/infra/internal/lambda"
)

// requestTimeout is above API Gateway's own 29 s.
const requestTimeout = 35 * time.Second

// client speaks the service's HTTP contract, and asks the Lambda host for its reports.
type client struct {
	base   string
	lambda string
	token  string // of the caller; empty: sent without
	http   *http.Client
}

func newClient(base, lambda string) *client {
	return &client{base: base, lambda: lambda, http: &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: crowdCreates}, // no proxy of the shell's
	}}
}

// as is the same client for an owner's requests.
func (c *client) as(token string) *client {
	owner := *c
	owner.token = token
	return &owner
}

func (c *client) close() { c.http.CloseIdleConnections() }

// status is the part of an export's status that the benchmark needs.
type status struct {
	ExportID string  `json:"exportId"`
	Status   string  `json:"status"`
	Done     bool    `json:"done"`
	Error    *string `json:"error"`
}

func (c *client) health(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, c.base+"/health", http.StatusOK, nil)
}

func (c *client) create(ctx context.Context) (id string, err error) {
	var s status
	err = c.call(ctx, http.MethodPost, c.base+"/exports/csv", http.StatusAccepted, &s)
	return s.ExportID, err
}

func (c *client) status(ctx context.Context, id string) (s status, err error) {
	err = c.call(ctx, http.MethodGet, c.base+"/exports/"+id+"/status", http.StatusOK, &s)
	return s, err
}

// reports are those of a function's invocations that began after since, oldest
// first. The host keeps the latest 10,000 of all functions.
func (c *client) reports(ctx context.Context, function string, since time.Time) ([]lambda.Report, error) {
	var all []lambda.Report
	address := c.lambda + "/local/reports?function=" + url.QueryEscape(function)
	if err := c.call(ctx, http.MethodGet, address, http.StatusOK, &all); err != nil {
		return nil, err
	}
	var list []lambda.Report
	for _, r := range all {
		if r.Start.Before(since) {
			continue
		}
		if r.Status != "success" {
			return nil, fmt.Errorf("%s, invocation %s: %s %s; log: %s", function, r.RequestID, r.Status, r.ErrorType, r.LogFile)
		}
		list = append(list, r)
	}
	return list, nil
}

// call sends a request, a POST with an empty object, and decodes the answer unless answer is nil.
func (c *client) call(ctx context.Context, method, address string, want int, answer any) error {
	body := ""
	if method == http.MethodPost {
		body = "{}"
	}
	code, text, err := c.ask(ctx, method, address, body)
	if err != nil {
		return err
	}
	if code != want {
		return fmt.Errorf("%s %s answers %d %s: %s", method, address, code, http.StatusText(code), text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// ask sends a request, whose body is JSON unless it is empty.
func (c *client) ask(ctx context.Context, method, address, body string) (code int, text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, context.Cause(ctx)
		}
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if text, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, address, err)
	}
	return resp.StatusCode, text, nil
}

// load calls do again and again, at most inFlight at once, for as long as more
// says so, and returns how long each call took. The first error ends it.
// more is never called by two goroutines at once.
func load(ctx context.Context, inFlight int, more func() bool, do func(context.Context) error) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	next := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return more()
	}
	group, ctx := errgroup.WithContext(ctx)
	for range inFlight {
		group.Go(func() error {
			for ctx.Err() == nil && next() {
				begin := time.Now()
				if err := do(ctx); err != nil {
					return err
				}
				duration := time.Since(begin)
				mu.Lock()
				took = append(took, duration)
				mu.Unlock()
			}
			return context.Cause(ctx)
		})
	}
	err := group.Wait()
	return took, err
}

// times is a load's more for n calls.
func times(n int) func() bool {
	return func() bool {
		n--
		return n >= 0
	}
}
