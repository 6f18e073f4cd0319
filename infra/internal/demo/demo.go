// Package demo exports the users table over HTTP, as any caller would, and
// compares the file with what PostgreSQL's own client writes.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"csvexport/infra/internal/psql"
)

const (
	pollEvery = 200 * time.Millisecond
	patience  = 5 * time.Minute // without any change of the status
)

// Reference is the statement whose output the file must equal.
const Reference = "COPY (SELECT * FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"

// Config says what to use.
type Config struct {
	BaseURL   string
	DB        psql.DB
	Rows      int64                    // in the users table
	Downloads string                   // folder for the file
	Logs      func() ([]string, error) // the files that run-export logs to
	Out       io.Writer                // gets what happens, as it happens
}

// Result is a demo that has gone well.
type Result struct {
	Rows    int64
	Seconds float64 // from the request to completed
	Bytes   int64   // of the compressed file
	File    string
}

// String is the demo's last line.
func (r Result) String() string {
	return fmt.Sprintf("demo: ok rows=%d seconds=%.3f rows_per_second=%.0f gzip_bytes=%d file=%s",
		r.Rows, r.Seconds, float64(r.Rows)/r.Seconds, r.Bytes, r.File)
}

// Run makes one export and returns an error unless the file is right, byte for byte.
func Run(ctx context.Context, cfg Config) (Result, error) {
	api := newClient(cfg.BaseURL)
	start := time.Now()
	id, err := api.create(ctx)
	if err != nil {
		return Result{}, err
	}
	fmt.Fprintf(cfg.Out, "export %s: created\n", id)
	final, err := follow(ctx, api, id, newProgress(cfg.Out, cfg.Rows))
	if err != nil {
		return Result{}, err
	}
	result := Result{Rows: cfg.Rows, Seconds: time.Since(start).Seconds()}
	checked := checkStatus(final, cfg.Rows)
	files, err := cfg.Logs()
	if err == nil {
		err = showLog(cfg.Out, files, id)
	}
	if checked != nil {
		return Result{}, checked
	}
	if err != nil {
		return Result{}, err
	}
	result.File, result.Bytes, err = api.download(ctx, id, cfg.Downloads)
	if err != nil {
		return Result{}, err
	}
	fmt.Fprintf(cfg.Out, "saved %s\ncomparing with psql: %s\n", result.File, Reference)
	return result, verify(ctx, cfg, result.File)
}

// follow polls the status until it is final.
func follow(ctx context.Context, api *client, id string, show *progress) (status, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	changed, last := time.Now(), status{}
	for {
		s, err := api.status(ctx, id)
		if err != nil {
			return s, err
		}
		if err := show.show(s); err != nil {
			return s, err
		}
		if s.Done {
			return s, nil
		}
		if s.Status != last.Status || s.Progress.ProcessedRows != last.Progress.ProcessedRows {
			changed, last = time.Now(), s
		}
		if time.Since(changed) > patience {
			return s, fmt.Errorf("export %s has not moved for %v: %s", id, patience, line(s))
		}
		select {
		case <-ctx.Done():
			return s, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func checkStatus(s status, rows int64) error {
	switch {
	case s.Status != "completed" && s.Error != nil:
		return fmt.Errorf("the export is %s: %s", s.Status, *s.Error)
	case s.Status != "completed":
		return fmt.Errorf("the export is %s", s.Status)
	case s.Progress.Percentage != 100:
		return fmt.Errorf("the export is completed at %d %%", s.Progress.Percentage)
	case s.Progress.TotalRows == nil || *s.Progress.TotalRows != rows || s.Progress.ProcessedRows != rows:
		return fmt.Errorf("the table has %d rows, the status says: %s", rows, line(s))
	}
	return nil
}

// verify compares the file with psql's output, without holding either in memory.
func verify(ctx context.Context, cfg Config, path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	got, err := Gunzip(file)
	if err != nil {
		return err
	}
	want, write := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		write.CloseWithError(cfg.DB.Copy(ctx, Reference, write))
	}()
	c, err := Compare(want, got)
	cancel()
	err = errors.Join(err, want.Close()) // frees psql, should it still write
	<-done
	if err != nil {
		return fmt.Errorf("compare %s: %w", filepath.Base(path), err)
	}
	fmt.Fprintf(cfg.Out, "psql: sha256 %s, %d bytes\nfile: sha256 %s, %d bytes, %s\n",
		c.Want.SHA256, c.Want.Bytes, c.Got.SHA256, c.Got.Bytes, c.Header)
	if !c.Equal() {
		return fmt.Errorf("the file differs from psql's output, first at byte %d (line %d)", c.Diff, c.DiffLine)
	}
	return nil
}
