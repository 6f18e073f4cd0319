// Command enginebench makes one real export of the users table, from claim to
// commit, and prints what it took as one line of JSON. All is the product's
// own but the bucket, which checks what it is given and keeps none of it: so
// the engine is measured, and not a storage on the same machine.
//
// Settings are run-export's, from the environment; S3's endpoint isn't used.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/uuid"

	"csvexport/internal/awsconfig"
	"csvexport/internal/bucket"
	"csvexport/internal/config"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/runner"
	"csvexport/internal/source"
)

// timeout bounds an export, as the function's own time does.
const timeout = 15 * time.Minute

// report is the line that is printed.
type report struct {
	Seconds           float64       `json:"seconds"` // of the runner, from the message to the end
	Status            export.Status `json:"status"`
	Rows              int64         `json:"rows"`
	Bytes             int64         `json:"bytes"`
	UncompressedBytes int64         `json:"uncompressedBytes"`
	Connections       int           `json:"connections"`
	Parts             int           `json:"parts"`            // 0: one request
	SHA256            string        `json:"sha256,omitempty"` // of the decompressed bytes, with -hash
}

type options struct {
	hash                   bool
	cpuProfile, memProfile string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "enginebench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var opt options
	fs := flag.NewFlagSet("enginebench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&opt.hash, "hash", false, "also decompress the file and print the SHA-256 of its bytes; this costs time")
	fs.StringVar(&opt.cpuProfile, "cpuprofile", "", "write a CPU profile of the export into this file")
	fs.StringVar(&opt.memProfile, "memprofile", "", "write a profile of all allocations into this file")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg, err := config.Load(getenv, config.Table, config.Queue, config.Database)
	if err != nil {
		return err
	}
	slog.SetDefault(cfg.Logger(stderr))
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := measure(ctx, cfg, opt)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(r); err != nil {
		return err
	}
	if r.Status != export.Completed {
		return fmt.Errorf("the export is %s: see the log", r.Status)
	}
	return nil
}

// measure creates an export, runs it and returns what became of it.
func measure(ctx context.Context, cfg config.Config, opt options) (report, error) {
	awsCfg, err := awsconfig.Load(ctx)
	if err != nil {
		return report{}, err
	}
	database, err := source.New(cfg.DatabaseURL)
	if err != nil {
		return report{}, err
	}
	var content *content
	if opt.hash {
		content = newContent()
	}
	s3 := &standIn{content: content}
	store, files := jobs.New(awsCfg, cfg.TableName), bucket.NewBuckets(s3.config(awsCfg), "bucket", "")
	engine := &runner.Runner{
		Jobs: store, Queue: queue.New(awsCfg, cfg.QueueURL), Buckets: files, Source: database, Catalog: dataset.Default(),
		Publisher:   &publish.Publisher{Jobs: store, Buckets: files, Notices: queue.New(awsCfg, cfg.QueueURL), FileTTL: cfg.FileTTL},
		Connections: cfg.Connections, Worker: "enginebench", FileTTL: cfg.FileTTL,
	}
	e, err := create(ctx, store)
	if err != nil {
		return report{}, err
	}
	began := time.Now()
	if err := profiled(opt, func() error { return engine.Run(ctx, queue.Message{ExportID: e.ID}) }); err != nil {
		return report{}, err
	}
	seconds := time.Since(began).Seconds()
	if e, err = store.Get(ctx, e.ID); err != nil {
		return report{}, err
	}
	r := report{Seconds: seconds, Status: e.Status, Connections: cfg.Connections, Parts: s3.partCount()}
	if e.Status == export.Completed {
		r.Rows, r.Bytes, r.UncompressedBytes = e.Result.Rows, e.Result.Bytes, e.Result.UncompressedBytes
	}
	if content != nil && e.Status == export.Completed {
		r.SHA256, err = content.sum(e.Result.UncompressedBytes)
	}
	return r, err
}

// create records an export of all users, as POST /exports/csv does.
func create(ctx context.Context, store *jobs.Store) (export.Export, error) {
	now := time.Now()
	users, _ := dataset.Default().Find("users")
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: export.Spec{Dataset: "users"}, Token: uuid.NewString(),
		DatasetFingerprint: users.Fingerprint(), Status: export.Processing, Phase: export.Queued,
		CreatedAt: now, DueAt: now.Add(timeout),
	}
	return e, store.Create(ctx, e)
}

// config is cfg for clients of the stand-in. A call that it refuses isn't
// repeated. The scheme is production's: over http the SDK would sign, and so
// hash, all bodies.
func (s *standIn) config(cfg aws.Config) aws.Config {
	cfg.HTTPClient = &http.Client{Transport: s}
	cfg.BaseEndpoint = aws.String("https://s3.stand-in.invalid")
	cfg.ConfigSources = nil // they name S3's own endpoint
	cfg.RetryMaxAttempts = 1
	return cfg
}

// profiled calls f and writes the profiles that are asked for.
func profiled(opt options, f func() error) (err error) {
	if opt.cpuProfile != "" {
		out, err := os.Create(opt.cpuProfile)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
	}
	if err = f(); opt.cpuProfile != "" {
		pprof.StopCPUProfile()
	}
	if err != nil || opt.memProfile == "" {
		return err
	}
	out, err := os.Create(opt.memProfile)
	if err != nil {
		return err
	}
	defer out.Close()
	runtime.GC() // the profile tells what the last collection knew
	return pprof.Lookup("allocs").WriteTo(out, 0)
}
