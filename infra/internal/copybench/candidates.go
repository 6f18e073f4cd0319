package copybench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"csvexport/infra/internal/demo"
	"csvexport/infra/internal/python"
)

// smallRows is the size of the table that pages are read from.
const smallRows = 200_000

// programs are those that the candidates run.
type programs struct {
	engine, naive, gzip string
	python              python.Env
}

// prepare builds the programs that aren't there.
func prepare(ctx context.Context, cfg Config) (p programs, err error) {
	if p.gzip, err = exec.LookPath("gzip"); err != nil {
		return p, err
	}
	lock := filepath.Join(cfg.Root, "infra", "bench", "requirements.txt")
	if p.python, err = python.Ensure(ctx, filepath.Join(cfg.Root, ".local", ".tools", "bench"), python.Packages{Lock: lock, Oldest: 10}, cfg.Out); err != nil {
		return p, err
	}
	p.engine, p.naive = filepath.Join(cfg.Dir, "enginebench"), filepath.Join(cfg.Dir, "naive")
	return p, errors.Join(
		build(ctx, cfg.Root, p.engine, "./internal/enginebench"),
		build(ctx, filepath.Join(cfg.Root, "infra"), p.naive, "./bench/naive"),
	)
}

// build compiles a program as the functions are.
func build(ctx context.Context, module, to, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s", "-o", to, pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, tail(string(out)))
	}
	return nil
}

// smallTable makes users_200k of the first rows of users.
func (b *bench) smallTable(ctx context.Context) error {
	for _, statement := range []string{
		fmt.Sprintf("BEGIN; DROP TABLE IF EXISTS users_200k; CREATE TABLE users_200k (LIKE users INCLUDING ALL); "+
			"INSERT INTO users_200k SELECT * FROM users WHERE id <= %d; COMMIT", smallRows),
		"VACUUM (ANALYZE) users_200k",
		"CHECKPOINT", // now, and not during a run
	} {
		if _, err := b.State.DB().Value(ctx, statement); err != nil {
			return fmt.Errorf("make users_200k: %w", err)
		}
	}
	return nil
}

func (b *bench) candidates() []Candidate {
	small := min(b.Rows, smallRows)
	list := []Candidate{
		{Name: "psql_copy", What: "`psql -c \"" + demo.Reference + "\"`, drained", Rows: b.Rows, run: b.piped(b.psql)},
		{Name: "psql_copy_gzip", What: "the same through `gzip -1`, drained", Rows: b.Rows, run: b.piped(b.psql, b.gzipped)},
		{Name: "go_naive", What: "Go: pgx's rows, encoding/csv, compress/gzip at level 1", Rows: b.Rows, run: b.piped(b.naively("rows"))},
		{Name: "offset_pages", What: "Go: pages of 1,000 rows by LIMIT and OFFSET, plain CSV", Rows: small, run: b.piped(b.naively("pages"))},
		{Name: "pandas", What: "pandas: chunks of 10,000 rows by a server-side cursor, gzip at level 1", Rows: b.Rows, run: b.piped(b.script("pandas_chunks.py"))},
		{Name: "adbc_pyarrow", What: "ADBC's record batches, pyarrow's CSV writer, gzip at level 1", Rows: b.Rows, run: b.piped(b.script("adbc_pyarrow.py"))},
	}
	for _, w := range []int{1, 2, 4} {
		list = append(list, Candidate{
			Name: fmt.Sprintf("engine_w%d", w), What: fmt.Sprintf("the runner from claim to commit with EXPORT_CONNECTIONS=%d; its bucket is a stand-in in the process", w),
			Rows: b.Rows, run: func(ctx context.Context) (usage, error) { return b.runEngine(ctx, w) },
		})
	}
	return append(list, Candidate{
		Name: "export_http", What: "a whole export on the local stack: `POST /exports/csv` to `completed`", Rows: b.Rows, run: b.runExport,
	})
}

// measured adds what Postgres takes while run runs.
func (b *bench) measured(run func() (usage, error)) (usage, error) {
	before := readFamily(b.process("Postgres"))
	u, err := run()
	u.Postgres = readFamily(before.pid).since(before)
	return u, err
}

// process is the id of a server of the stack.
func (b *bench) process(name string) int {
	for _, p := range b.State.Processes {
		if p.Name == name {
			return p.PID
		}
	}
	return 0
}

// piped runs commands joined by pipes.
func (b *bench) piped(commands ...func(context.Context) *exec.Cmd) func(context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		list := make([]*exec.Cmd, len(commands))
		for i, command := range commands {
			list[i] = command(ctx)
		}
		return b.measured(func() (usage, error) { return pipeline(ctx, list...) })
	}
}

// command prepares a program that finds the database by libpq's variables, as
// the functions' role, and nothing else of the shell's for it.
func (b *bench) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "PG") })
	u, err := url.Parse(b.State.ReaderURL)
	if err != nil {
		panic(err) // the stack made it
	}
	password, _ := u.User.Password()
	cmd.Env = append(cmd.Env, "PGHOST="+u.Hostname(), "PGPORT="+u.Port(), "PGUSER="+u.User.Username(), "PGPASSWORD="+password,
		"PGDATABASE="+strings.TrimPrefix(u.Path, "/"), "PGSSLMODE=disable", "PGTZ=UTC", "PGDATESTYLE=ISO, YMD", "PGCLIENTENCODING=UTF8")
	return cmd
}

func (b *bench) psql(ctx context.Context) *exec.Cmd {
	return b.command(ctx, b.State.PSQL, "--no-psqlrc", "--quiet", "--command", demo.Reference)
}

func (b *bench) gzipped(ctx context.Context) *exec.Cmd { return b.command(ctx, b.gzip, "-1") }

func (b *bench) naively(how string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd { return b.command(ctx, b.naive, how) }
}

func (b *bench) script(name string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd {
		return b.command(ctx, b.python.Python(), "-I", filepath.Join(b.Root, "infra", "bench", name))
	}
}

// engineReport is the line that enginebench prints.
type engineReport struct {
	Seconds float64 `json:"seconds"`
	Rows    int64   `json:"rows"`
	SHA256  string  `json:"sha256"`
}

// startEngine runs enginebench, on the table and queue of the stack.
func (b *bench) startEngine(ctx context.Context, connections int, args ...string) (usage, engineReport, error) {
	cmd := exec.CommandContext(ctx, b.engine, args...)
	cmd.Env = append(b.State.Endpoints.Replace(os.Environ()), "TABLE_NAME="+b.State.Table, "QUEUE_URL="+b.State.QueueURL,
		"DATABASE_URL="+b.State.ReaderURL, fmt.Sprintf("EXPORT_CONNECTIONS=%d", connections), "LOG_LEVEL=info")
	var out bytes.Buffer
	cmd.Stdout = &out
	u, err := pipeline(ctx, cmd)
	if err != nil {
		return u, engineReport{}, err
	}
	var r engineReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return u, r, fmt.Errorf("enginebench: %w", err)
	}
	if r.Rows != b.Rows {
		return u, r, fmt.Errorf("enginebench exported %d rows, of %d", r.Rows, b.Rows)
	}
	return u, r, nil
}

// runEngine takes the runner's own time, without the start of the program.
func (b *bench) runEngine(ctx context.Context, connections int) (usage, error) {
	return b.measured(func() (usage, error) {
		u, r, err := b.startEngine(ctx, connections)
		u.Seconds = r.Seconds
		return u, err
	})
}

// runExport takes what a caller waits for an export.
func (b *bench) runExport(ctx context.Context) (usage, error) {
	standIns := func() float64 { return cpuOf(b.process("S3")) + cpuOf(b.process("SQS and DynamoDB")) }
	return b.measured(func() (u usage, err error) {
		beforeStandIns, beforeCPU := standIns(), map[int]float64{}
		for _, r := range b.done {
			beforeCPU[r.PID] = cpuOf(r.PID)
		}
		begin := time.Now()
		s, err := b.client.export(ctx, nil)
		if err != nil {
			return u, err
		}
		u.Seconds = time.Since(begin).Seconds()
		u.StandIns = standIns() - beforeStandIns
		if s.Progress.ProcessedRows != b.Rows {
			return u, fmt.Errorf("the export has %d rows, of %d", s.Progress.ProcessedRows, b.Rows)
		}
		if b.done, err = b.client.runs(ctx, len(b.done)+1); err != nil {
			return u, err
		}
		last := b.done[len(b.done)-1]
		u.CPU, u.PeakMB = cpuOf(last.PID)-beforeCPU[last.PID], peakMB(last.PID)
		return u, b.client.remove(ctx, s.ExportID)
	})
}

// compare makes one export of each kind and compares its bytes with psql's.
func (b *bench) compare(ctx context.Context) error {
	fmt.Fprintln(b.Out, "comparing the bytes with psql's")
	sum := sha256.New()
	if err := b.State.DB().Copy(ctx, demo.Reference, sum); err != nil {
		return err
	}
	want := hex.EncodeToString(sum.Sum(nil))
	for _, w := range []int{1, 2, 4} {
		_, r, err := b.startEngine(ctx, w, "-hash")
		if err != nil {
			return err
		}
		if r.SHA256 != want {
			return fmt.Errorf("the bytes of the engine with %d connections (SHA-256 %s) aren't psql's (%s)", w, r.SHA256, want)
		}
	}
	_, err := demo.Run(ctx, demo.Config{
		BaseURL: b.State.BaseURL, DB: b.State.DB(), Rows: b.Rows, Downloads: filepath.Join(b.Dir, "downloads"), Logs: func() ([]string, error) { return b.State.LogFiles("run-export") }, Out: io.Discard,
	})
	if err != nil {
		return err
	}
	if b.done, err = b.client.runs(ctx, 1); err != nil {
		return err
	}
	fmt.Fprintf(b.Out, "all alike: SHA-256 %s\n", want)
	return os.RemoveAll(filepath.Join(b.Dir, "downloads"))
}
