package costs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/stack"
)

const (
	exportWithin = 10 * time.Minute
	quietFor     = 2 * time.Second // without a call: all that follows an export's end has been done
	askEvery     = 100 * time.Millisecond
	// rounds of each export are measured.
	rounds = 3
	// sweeps are measured by so many that find nothing to do.
	sweeps = 5
	// eventOverhead is what CloudWatch Logs adds to each line (PutLogEvents, API Reference).
	eventOverhead = 26
)

// Run is what one export took, from its request to its event.
type Run struct {
	Rows      int64
	Seconds   float64 // of run-export, as Lambda bills them
	FileBytes int64
	MemoryMB  int // run-export's setting

	polls    int
	uses     map[string]use
	logBytes map[string]int64 // by function, with CloudWatch's overhead
	// milliseconds are the time of one invocation of the others, on a whole core.
	milliseconds map[string]float64
}

// Idle is what one sweep takes that finds nothing to do.
type Idle struct {
	milliseconds float64
	use          use
	logBytes     int64
	metrics      int // names of metrics that it writes
}

// Meters measures on a running stack.
type Meters struct {
	Stack *stack.Stack
	Meter *Meter
	Out   io.Writer
}

// Export measures exports of the users table, which has so many rows, and
// returns the fastest: other work on the machine only makes them slower. A
// first one, which isn't measured, has started all functions.
func (m Meters) Export(ctx context.Context, rows int64) (fastest Run, err error) {
	fmt.Fprintf(m.Out, "measuring exports of %d rows\n", rows)
	if _, _, err := m.export(ctx); err != nil {
		return Run{}, err
	}
	for range rounds {
		run, err := m.measure(ctx, rows)
		if err != nil {
			return Run{}, err
		}
		if fastest.Seconds == 0 || run.Seconds < fastest.Seconds {
			fastest = run
		}
	}
	return fastest, nil
}

func (m Meters) measure(ctx context.Context, rows int64) (Run, error) {
	if err := m.quiet(ctx); err != nil {
		return Run{}, err
	}
	logs, err := logSizes(m.Stack.State.Logs)
	if err != nil {
		return Run{}, err
	}
	m.Meter.take()
	begin := time.Now()
	bytes, polls, err := m.export(ctx)
	if err != nil {
		return Run{}, err
	}
	if err := m.quiet(ctx); err != nil {
		return Run{}, err
	}
	sizes, err := m.itemSizes(ctx)
	if err != nil {
		return Run{}, err
	}
	run := Run{Rows: rows, FileBytes: bytes, polls: polls, milliseconds: map[string]float64{}, logBytes: map[string]int64{}}
	if run.uses, err = bill(m.Meter.take(), sizes); err != nil {
		return Run{}, err
	}
	after, err := logSizes(m.Stack.State.Logs)
	if err != nil {
		return Run{}, err
	}
	for function, size := range after {
		run.logBytes[function] = size - logs[function]
	}
	for _, f := range m.Stack.Deployed().Functions {
		reports := m.reports(f.Name, begin)
		if len(reports) == 0 {
			continue
		}
		if f.LogicalID == "RunExportFunction" {
			run.Seconds, run.MemoryMB = reports[0].BilledDuration.Seconds(), reports[0].MemoryMB
			continue
		}
		for _, r := range reports {
			run.milliseconds[f.Folder] += float64(r.Duration.Microseconds()) / 1000 / float64(len(reports))
		}
	}
	if run.Seconds == 0 {
		return Run{}, errors.New("run-export's invocation isn't reported")
	}
	return run, nil
}

func (m Meters) reports(function string, since time.Time) (found []lambda.Report) {
	for _, r := range m.Stack.Deployed().Host.Reports(function) {
		if r.Start.After(since) {
			found = append(found, r)
		}
	}
	return found
}

// export makes one and asks for its file, as a caller does.
func (m Meters) export(ctx context.Context) (bytes int64, polls int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, exportWithin, fmt.Errorf("the export takes longer than %v", exportWithin))
	defer cancel()
	var s struct {
		ExportID, Status string
		Done             bool
		File             struct{ Bytes int64 }
	}
	if err := m.ask(ctx, http.MethodPost, "/exports/csv", http.StatusAccepted, &s); err != nil {
		return 0, 0, err
	}
	for !s.Done {
		select {
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		case <-time.After(askEvery):
		}
		polls++
		if err := m.ask(ctx, http.MethodGet, "/exports/"+s.ExportID+"/status", http.StatusOK, &s); err != nil {
			return 0, 0, err
		}
	}
	if s.Status != "completed" {
		return 0, 0, fmt.Errorf("the export %s is %s", s.ExportID, s.Status)
	}
	return s.File.Bytes, polls, m.ask(ctx, http.MethodGet, "/exports/"+s.ExportID+"/download", http.StatusFound, nil)
}

func (m Meters) ask(ctx context.Context, method, path string, want int, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, m.Stack.State.BaseURL+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // no proxy of the shell's, and no redirect
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s answers %s", method, path, resp.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// quiet waits until no function has called anything for a while.
func (m Meters) quiet(ctx context.Context) error {
	for {
		m.Meter.mu.Lock()
		last := time.Time{}
		if n := len(m.Meter.calls); n > 0 {
			last = m.Meter.calls[n-1].At
		}
		m.Meter.mu.Unlock()
		left := quietFor - time.Since(last)
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(left):
		}
	}
}

// itemSizes are the largest sizes of each kind of item in the table.
func (m Meters) itemSizes(ctx context.Context) (map[string]int, error) {
	sizes := map[string]int{}
	pages := dynamodb.NewScanPaginator(m.Stack.State.Endpoints.DynamoDBClient(), &dynamodb.ScanInput{TableName: &m.Stack.State.Table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			var key string
			if sk, ok := item["sk"]; ok {
				key = stringOf(sk)
			}
			k := kind(map[string]attribute{"sk": {key}})
			sizes[k] = max(sizes[k], itemSize(item))
		}
	}
	return sizes, nil
}

// Idle measures sweeps that find nothing to do.
func (m Meters) Idle(ctx context.Context) (Idle, error) {
	fmt.Fprintln(m.Out, "measuring sweeps that find nothing to do")
	sweep, ok := m.Stack.Deployed().Function("SweepFunction")
	if !ok {
		return Idle{}, errors.New("no SweepFunction")
	}
	if err := m.quiet(ctx); err != nil {
		return Idle{}, err
	}
	before, err := logSizes(m.Stack.State.Logs)
	if err != nil {
		return Idle{}, err
	}
	m.Meter.take()
	begin := time.Now()
	for range sweeps {
		if _, err := m.Stack.Deployed().Host.Invoke(ctx, sweep.Name, nil); err != nil {
			return Idle{}, err
		}
	}
	reports := m.reports(sweep.Name, begin)
	uses, err := bill(m.Meter.take(), nil)
	if err != nil {
		return Idle{}, err
	}
	after, err := logSizes(m.Stack.State.Logs)
	if err != nil {
		return Idle{}, err
	}
	n := float64(len(reports))
	u := uses[sweep.Folder]
	idle := Idle{use: use{reads: u.reads / n, writes: u.writes / n, puts: u.puts / len(reports), operations: u.operations}, logBytes: (after[sweep.Folder] - before[sweep.Folder]) / int64(n)}
	for _, r := range reports {
		idle.milliseconds += float64(r.Duration.Microseconds()) / 1000 / n
	}
	idle.metrics, err = metricNames(filepath.Join(m.Stack.State.Logs, sweep.Folder))
	return idle, err
}

// logSizes are the sizes of the functions' logs, with CloudWatch's overhead.
func logSizes(logs string) (map[string]int64, error) {
	sizes := map[string]int64{}
	return sizes, eachLine(logs, func(function, line string) { sizes[function] += int64(len(line)) + eventOverhead })
}

var metricName = regexp.MustCompile(`"Name":"([A-Za-z]+)"`)

// metricNames counts the metrics that a function wrote into its log.
func metricNames(folder string) (int, error) {
	names := map[string]bool{}
	err := eachLine(folder, func(_, line string) {
		if strings.Contains(line, `"CloudWatchMetrics"`) {
			for _, match := range metricName.FindAllStringSubmatch(line, -1) {
				names[match[1]] = true
			}
		}
	})
	return len(names), err
}

// eachLine reads the log files below a folder; f gets the folder's name of each.
func eachLine(root string, f func(folder, line string)) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			f(filepath.Base(filepath.Dir(path)), lines.Text())
		}
		return lines.Err()
	})
}
