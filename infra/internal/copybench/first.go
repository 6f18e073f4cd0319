package copybench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"
)

// watchCopy tells when the first COPY of a role began, as seconds of the Unix
// time. It looks every 5 ms at what runs, and so sees what runs for longer.
const watchCopy = `
CREATE FUNCTION pg_temp.first_copy(role text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
BEGIN
	LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT min(query_start) INTO began FROM pg_stat_activity WHERE usename = role AND state = 'active' AND query ILIKE 'copy%';
		EXIT WHEN began IS NOT NULL;
		PERFORM pg_sleep(0.005);
	END LOOP;
	RETURN extract(epoch FROM began);
END $$;
SELECT pg_temp.first_copy(`

// First tells when an export was how far, from its claim on. 0 is for what
// wasn't seen.
type First struct {
	Rows  time.Duration // the first COPY began
	Total time.Duration // a status first told the number of rows
}

// first makes one export and watches its beginning from outside: Postgres's
// own record of the queries, the log and the status.
func (b *memoryBench) first(ctx context.Context) (Export, First, error) {
	reader, err := url.Parse(b.State.ReaderURL)
	if err != nil {
		return Export{}, First{}, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	began := make(chan time.Time, 1)
	go func() { began <- b.firstCopy(watching, reader.User.Username()) }()
	var total time.Time
	e, err := b.alone(ctx, func(s status) {
		if total.IsZero() && s.Progress.TotalRows != nil {
			total = time.Now()
		}
	})
	stop()
	copied := <-began
	if err != nil {
		return e, First{}, err
	}
	claimed, err := claimedAt(e)
	if err != nil {
		return e, First{}, err
	}
	var f First
	if !copied.IsZero() {
		f.Rows = copied.Sub(claimed)
	}
	if !total.IsZero() {
		f.Total = total.Sub(claimed)
	}
	return e, f, nil
}

// firstCopy returns when the role's first COPY began; the zero time if none was
// seen before ctx ended. The server's clock is this machine's.
func (b *memoryBench) firstCopy(ctx context.Context, role string) time.Time {
	text, err := b.State.DB().Value(ctx, watchCopy+"'"+role+"')")
	if err != nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

// claimedAt reads from run-export's log when it claimed the export.
func claimedAt(e Export) (time.Time, error) {
	f, err := os.Open(e.LogFile)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			Time     time.Time `json:"time"`
			Msg      string    `json:"msg"`
			ExportID string    `json:"exportId"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "export claimed" && line.ExportID == e.ID {
			return line.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s doesn't tell when export %s was claimed", e.LogFile, e.ID)
}
