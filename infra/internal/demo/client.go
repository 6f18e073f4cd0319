package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// client speaks the service's HTTP contract as any caller would.
type client struct {
	base string
	http *http.Client
}

// newClient returns a client that follows no redirect and uses no proxy.
func newClient(base string) *client {
	return &client{base: base, http: &http.Client{
		Transport:     &http.Transport{ResponseHeaderTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// status is the part of GET /exports/{id}/status that the demo needs.
type status struct {
	ExportID string  `json:"exportId"`
	Status   string  `json:"status"`
	Phase    *string `json:"phase"`
	Done     bool    `json:"done"`
	Progress struct {
		TotalRows     *int64   `json:"totalRows"`
		ProcessedRows int64    `json:"processedRows"`
		Percentage    int      `json:"percentage"`
		RowsPerSecond *float64 `json:"rowsPerSecond"`
		SecondsLeft   *float64 `json:"secondsLeft"`
	} `json:"progress"`
	Error *string `json:"error"`
}

// create asks for an export of everything and returns its id.
func (c *client) create(ctx context.Context) (string, error) {
	var created status
	if err := c.call(ctx, http.MethodPost, "/exports/csv", `{"dataset":"users"}`, http.StatusAccepted, &created); err != nil {
		return "", err
	}
	if created.ExportID == "" {
		return "", errors.New("POST /exports/csv: the answer has no exportId")
	}
	return created.ExportID, nil
}

func (c *client) status(ctx context.Context, id string) (s status, err error) {
	err = c.call(ctx, http.MethodGet, "/exports/"+id+"/status", "", http.StatusOK, &s)
	return s, err
}

func (c *client) call(ctx context.Context, method, path, body string, want int, answer any) (err error) {
	resp, err := c.send(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s answers %s: %s", method, path, resp.Status, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s answers no JSON as agreed: %w", method, path, err)
	}
	return nil
}

func (c *client) send(ctx context.Context, method, url, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.http.Do(req)
}

// download follows the redirect to the presigned URL and saves the file under
// the name that the answer gives it. It returns its path and size.
func (c *client) download(ctx context.Context, id, dir string) (path string, size int64, err error) {
	resp, err := c.send(ctx, http.MethodGet, c.base+"/exports/"+id+"/download", "")
	if err != nil {
		return "", 0, err
	}
	location := resp.Header.Get("Location")
	if err := resp.Body.Close(); err != nil {
		return "", 0, err
	}
	if resp.StatusCode != http.StatusFound || location == "" {
		return "", 0, fmt.Errorf("GET /exports/%s/download answers %s, want 302 with a Location", id, resp.Status)
	}
	resp, err = c.send(ctx, http.MethodGet, location, "")
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("the presigned URL answers %s", resp.Status)
	}
	_, disposition, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	name := filepath.Base(disposition["filename"])
	if err != nil || disposition["filename"] == "" {
		return "", 0, fmt.Errorf("the presigned URL names no file: Content-Disposition %q", resp.Header.Get("Content-Disposition"))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", 0, err
	}
	path = filepath.Join(dir, name)
	size, err = save(path, resp.Body)
	if err == nil && resp.ContentLength >= 0 && size != resp.ContentLength {
		err = fmt.Errorf("the download has %d of %d bytes", size, resp.ContentLength)
	}
	return path, size, err
}

func save(path string, r io.Reader) (size int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.Copy(f, r)
}
