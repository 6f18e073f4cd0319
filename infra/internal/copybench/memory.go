package copybench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"csvexport/infra/internal/seed"
	"csvexport/infra/internal/stack"
)

// atOnce is run-export's concurrency in template.yaml.
const atOnce = 3

// wideName is the size of a name in the table of wide rows, in bytes.
const wideName = 157 * 128

// MemoryConfig says what to measure.
type MemoryConfig struct {
	Root  string
	State stack.State // a running stack of the benchmark's own, which has run no export yet
	Rows  int64       // of the largest table of users; its other tables follow from it
	Out   io.Writer
}

// Memory is what one run has measured.
type Memory struct {
	When         time.Time
	Postgres     string   // version
	Narrow, Wide []Export // of tables of different sizes, each in a fresh environment
	Alone        Export   // of the table that Together are exports of
	Together     []Export // at the same time
	Seconds      float64  // of them all
	First        First    // of the largest table of users
}

// Export is one export over HTTP.
type Export struct {
	Rows, Bytes int64 // of the file
	Seconds     float64
	PeakMB      float64 // of run-export's process, up to now
	ID          string
	LogFile     string
}

type memoryBench struct {
	MemoryConfig
	client *client
	runs   int
}

// MeasureMemory measures run-export's peak memory for tables of several sizes.
func MeasureMemory(ctx context.Context, cfg MemoryConfig) (m Memory, err error) {
	b := &memoryBench{MemoryConfig: cfg, client: newClient(cfg.State.BaseURL, cfg.State.Endpoints.Lambda)}
	defer b.client.http.CloseIdleConnections()
	m.When = time.Now()
	if m.Postgres, err = cfg.State.DB().Value(ctx, "SHOW server_version"); err != nil {
		return m, err
	}
	for _, share := range []int64{20, 4, 1} {
		fmt.Fprintf(b.Out, "seeding %d users\n", b.Rows/share)
		if err := seed.Users(ctx, b.State.DB(), b.Root, b.Rows/share); err != nil {
			return m, err
		}
		var e Export
		if share == 1 {
			e, m.First, err = b.first(ctx)
		} else {
			e, err = b.alone(ctx, nil)
		}
		if err != nil {
			return m, err
		}
		m.Narrow = append(m.Narrow, e)
		if share == 4 {
			m.Alone = e
			if m.Together, m.Seconds, err = b.together(ctx); err != nil {
				return m, err
			}
		}
	}
	for _, share := range []int64{2000, 400, 100} {
		if err := b.seedWide(ctx, b.Rows/share); err != nil {
			return m, err
		}
		e, err := b.alone(ctx, nil)
		if err != nil {
			return m, err
		}
		m.Wide = append(m.Wide, e)
	}
	return m, nil
}

// seedWide makes a users table with names of 20 KB each, which can't be
// compressed but for being hexadecimal. Row i depends on i alone.
func (b *memoryBench) seedWide(ctx context.Context, rows int64) error {
	fmt.Fprintf(b.Out, "seeding %d rows of 20 KB\n", rows)
	for _, statement := range []string{
		"DROP TABLE users",
		`CREATE TABLE users (id integer, name text NOT NULL, email varchar(255), signup_date timestamptz, country_code char(2),
			subscription_tier varchar(50), lifetime_value numeric(10,2))`,
		"ALTER TABLE users ALTER name SET STORAGE EXTERNAL", // no attempt to compress it
		fmt.Sprintf(`INSERT INTO users (id, name)
			SELECT i, (SELECT string_agg(encode(sha512(convert_to(i || '/' || j, 'UTF8')), 'hex'), '') FROM generate_series(1, %d) j)
			FROM generate_series(1, %d) i`, wideName/128, rows),
		"ALTER TABLE users ADD PRIMARY KEY (id)",
		"VACUUM (ANALYZE) users",
		"CHECKPOINT",
	} {
		if _, err := b.State.DB().Value(ctx, statement); err != nil {
			return fmt.Errorf("make the wide users table: %w", err)
		}
	}
	return nil
}

// alone makes one export in a fresh environment.
func (b *memoryBench) alone(ctx context.Context, see func(status)) (Export, error) {
	if err := b.freshen(ctx); err != nil {
		return Export{}, err
	}
	list, _, err := b.exports(ctx, 1, see)
	if err != nil {
		return Export{}, err
	}
	return list[0], nil
}

// together makes several exports at once, in fresh environments.
func (b *memoryBench) together(ctx context.Context) ([]Export, float64, error) {
	if err := b.freshen(ctx); err != nil {
		return nil, 0, err
	}
	return b.exports(ctx, atOnce, nil)
}

// exports makes n exports at once and returns them, and the time of them all.
func (b *memoryBench) exports(ctx context.Context, n int, see func(status)) ([]Export, float64, error) {
	list := make([]Export, n)
	begin := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	for i := range list {
		group.Go(func() error {
			s, err := b.client.export(groupCtx, see)
			if err != nil {
				return err
			}
			list[i] = Export{Rows: s.Progress.ProcessedRows, Seconds: time.Since(begin).Seconds(), ID: s.ExportID}
			if s.File != nil {
				list[i].Bytes = s.File.Bytes
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, err
	}
	total := time.Since(begin).Seconds()
	b.runs += n
	reports, err := b.client.runs(ctx, b.runs)
	if err != nil {
		return nil, 0, err
	}
	for i, r := range reports[len(reports)-n:] { // which report is whose doesn't matter
		list[i].PeakMB, list[i].LogFile = peakMB(r.PID), r.LogFile
		fmt.Fprintf(b.Out, "%d rows in %.1f s, %.1f MB\n", list[i].Rows, list[i].Seconds, list[i].PeakMB)
		if err := b.client.remove(ctx, list[i].ID); err != nil {
			return nil, 0, err
		}
	}
	return list, total, nil
}

// freshen ends run-export's processes, which wait for work: the next export
// begins in a new one.
func (b *memoryBench) freshen(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reportWithin, errors.New("run-export's processes don't end"))
	defer cancel()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	ended := map[int]bool{}
	for {
		list, err := b.client.environments(ctx)
		if err != nil {
			return err
		}
		left := 0
		for _, e := range list {
			if filepath.Base(filepath.Dir(e.LogFile)) != "run-export" {
				continue
			}
			left++
			if e.State == "idle" && !ended[e.PID] {
				ended[e.PID] = true
				if p, err := os.FindProcess(e.PID); err == nil {
					_ = p.Kill() // it may have ended by itself
				}
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
