package copybench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"csvexport/infra/internal/lambda"
)

const (
	runExport = "RunExportFunction" // its logical ID in template.yaml

	// statusEvery is a compromise: a status costs some 5 ms of the processor,
	// most of it the stand-ins', and half the interval is what a measured time
	// is too long by, on average.
	statusEvery  = 100 * time.Millisecond
	reportEvery  = 20 * time.Millisecond
	reportWithin = 10 * time.Second // for a report, after the status that tells the end
)

// client speaks the service's HTTP contract, and asks the Lambda host for its
// reports.
type client struct {
	base, lambda string
	http         http.Client
}

func newClient(base, lambda string) *client {
	return &client{base: base, lambda: lambda, http: http.Client{
		Timeout: 35 * time.Second, Transport: &http.Transport{}, // no proxy of the shell's
	}}
}

// status is the part of an export's status that is needed here.
type status struct {
	ExportID string  `json:"exportId"`
	Status   string  `json:"status"`
	Done     bool    `json:"done"`
	Error    *string `json:"error"`
	Progress struct {
		TotalRows     *int64 `json:"totalRows"`
		ProcessedRows int64  `json:"processedRows"`
	} `json:"progress"`
	File *struct {
		Bytes int64 `json:"bytes"`
	} `json:"file"`
}

func (c *client) create(ctx context.Context) (s status, err error) {
	err = c.call(ctx, http.MethodPost, c.base+"/exports/csv", http.StatusAccepted, &s)
	return s, err
}

func (c *client) status(ctx context.Context, id string) (s status, err error) {
	err = c.call(ctx, http.MethodGet, c.base+"/exports/"+id+"/status", http.StatusOK, &s)
	return s, err
}

// remove deletes the file of a completed export.
func (c *client) remove(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, c.base+"/exports/"+id, http.StatusNoContent, nil)
}

// export makes an export of everything and waits for its end. Every status is
// shown to see, if that isn't nil.
func (c *client) export(ctx context.Context, see func(status)) (status, error) {
	s, err := c.create(ctx)
	if err != nil {
		return s, err
	}
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for !s.Done {
		select {
		case <-ctx.Done():
			return s, context.Cause(ctx)
		case <-tick.C:
		}
		if s, err = c.status(ctx, s.ExportID); err != nil {
			return s, err
		}
		if see != nil {
			see(s)
		}
	}
	if s.Status != "completed" {
		reason := "no error given"
		if s.Error != nil {
			reason = *s.Error
		}
		return s, fmt.Errorf("export %s is %s: %s", s.ExportID, s.Status, reason)
	}
	return s, nil
}

// runs waits for n reports of run-export and returns them, oldest first.
func (c *client) runs(ctx context.Context, n int) ([]lambda.Report, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, reportWithin, errors.New("an export is completed, but its invocation isn't reported"))
	defer cancel()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		var reports []lambda.Report
		err := c.call(ctx, http.MethodGet, c.lambda+"/local/reports?function="+url.QueryEscape(runExport), http.StatusOK, &reports)
		if err != nil || len(reports) >= n {
			return reports, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// environments lists the functions' processes.
func (c *client) environments(ctx context.Context) (list []lambda.Environment, err error) {
	err = c.call(ctx, http.MethodGet, c.lambda+"/local/environments", http.StatusOK, &list)
	return list, err
}

// call sends a request, a POST with an empty object, and decodes the answer unless answer is nil.
func (c *client) call(ctx context.Context, method, address string, want int, answer any) error {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, address, err)
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s answers %s: %s", method, address, resp.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
