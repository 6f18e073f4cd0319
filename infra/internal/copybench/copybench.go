// Package copybench compares the service's exports with other ways to write a
// table as CSV, on one Postgres: how long they take, how much of the processor
// and how much memory.
package copybench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/stack"
)

const (
	// slow is how long a run may take before its candidate gets fewer rounds.
	slow       = 30 * time.Second
	slowRounds = 2
)

// Config says what to measure.
type Config struct {
	Root   string      // the project's folder
	Dir    string      // for programs that are built for this
	State  stack.State // a running stack of the benchmark's own, whose users table has Rows rows
	Rows   int64
	Rounds int       // that are measured, after one to warm up
	Out    io.Writer // gets a line for each step
}

// Result is what one run of the benchmark has measured.
type Result struct {
	When       time.Time
	Postgres   string // version
	Rows       int64
	Rounds     int
	Candidates []Candidate
}

// Candidate is one way to write the table, and what it took in each round.
type Candidate struct {
	Name, What string
	Rows       int64
	Runs       []usage

	run func(context.Context) (usage, error)
}

type bench struct {
	Config
	programs
	client *client
	done   []lambda.Report // of the exports so far
}

// Run measures all candidates, in rounds: each has its turn in each round, and
// another one begins each time. Then it compares the bytes of those that write
// what psql does; the error is that of a difference, too.
func Run(ctx context.Context, cfg Config) (Result, error) {
	b := &bench{Config: cfg, client: newClient(cfg.State.BaseURL, cfg.State.Endpoints.Lambda)}
	defer b.client.http.CloseIdleConnections()
	var err error
	if b.programs, err = prepare(ctx, cfg); err != nil {
		return Result{}, err
	}
	r := Result{When: time.Now(), Rows: cfg.Rows, Rounds: cfg.Rounds, Candidates: b.candidates()}
	if r.Postgres, err = cfg.State.DB().Value(ctx, "SHOW server_version"); err != nil {
		return r, err
	}
	if err := b.smallTable(ctx); err != nil {
		return r, err
	}
	if err := b.compare(ctx); err != nil {
		return r, err
	}
	for round := range cfg.Rounds + 1 {
		for i := range r.Candidates {
			c := &r.Candidates[(i+round)%len(r.Candidates)]
			if err := c.turn(ctx, round, cfg.Out); err != nil {
				return r, fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	return r, nil
}

// turn runs the candidate once; round 0 warms up. A slow one has fewer turns.
func (c *Candidate) turn(ctx context.Context, round int, out io.Writer) error {
	if n := len(c.Runs); n >= slowRounds && c.Runs[n-1].Seconds > slow.Seconds() {
		return nil
	}
	runtime.GC() // now, and not during the run
	u, err := c.run(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("round %d", round)
	if round == 0 {
		name = "warm-up"
	} else {
		c.Runs = append(c.Runs, u)
	}
	fmt.Fprintf(out, "%s: %-13s %7.3f s, CPU %6.2f s, Postgres %6.2f s, %4.0f MB\n", name, c.Name, u.Seconds, u.CPU, u.Postgres, u.PeakMB)
	return nil
}

// median is the median of a figure over the measured rounds; 0 without any.
func (c Candidate) median(figure func(usage) float64) float64 {
	values := make([]float64, 0, len(c.Runs))
	for _, u := range c.Runs {
		values = append(values, figure(u))
	}
	n := len(values)
	if n == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func seconds(u usage) float64  { return u.Seconds }
func cpu(u usage) float64      { return u.CPU }
func postgres(u usage) float64 { return u.Postgres }
func standIns(u usage) float64 { return u.StandIns }

// withoutStandIns is the time less all that the stand-ins for S3, SQS and
// DynamoDB took of the processor.
func withoutStandIns(u usage) float64 { return u.Seconds - u.StandIns }

// peakMB is the most memory of any round.
func (c Candidate) peakMB() (peak float64) {
	for _, u := range c.Runs {
		peak = max(peak, u.PeakMB)
	}
	return peak
}

func (c Candidate) rowsPerSecond() float64 {
	s := c.median(seconds)
	if s == 0 {
		return 0
	}
	return float64(c.Rows) / s
}

// find returns the candidate of that name; without one, an empty one.
func (r Result) find(name string) Candidate {
	if i := slices.IndexFunc(r.Candidates, func(c Candidate) bool { return c.Name == name }); i >= 0 {
		return r.Candidates[i]
	}
	return Candidate{}
}

// Ratio is how many times as fast the engine, or a whole export, is as psql.
type Ratio struct {
	Name   string
	Value  float64
	Target float64
	What   string
}

// Ratios are those that the project has targets for.
func (r Result) Ratios() []Ratio {
	copied, zipped := r.find("psql_copy").median(seconds), r.find("psql_copy_gzip").median(seconds)
	engine, export := r.find("engine_w2"), r.find("export_http")
	return []Ratio{
		{"engine_vs_psql_copy", copied / engine.median(seconds), 1.3, "time of `psql_copy` / `engine_w2`"},
		{"engine_vs_psql_gzip", zipped / engine.median(seconds), 2, "time of `psql_copy_gzip` / `engine_w2`"},
		{"export_vs_psql_copy", copied / export.median(seconds), 0.8, "time of `psql_copy` / `export_http`"},
		{"export_vs_psql_copy_without_standins", copied / export.median(withoutStandIns), 0.8, "the same, less the CPU seconds of the stand-ins for S3, SQS and DynamoDB"},
	}
}
