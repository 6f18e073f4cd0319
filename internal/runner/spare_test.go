package runner

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"strconv"
	"testing"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/gzipmember"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// A reader that becomes free while ranges are left copies some of them, and
// the file is the same.
func TestCopier_spareReader(t *testing.T) {
	const rows, ranges = 200_000, 20
	url := servertest.Database(t)
	servertest.Users(t, url, rows)
	src, err := source.New(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	users, _ := dataset.Default().Find("users")
	sel, err := dataset.Default().Resolve(export.Spec{Dataset: "users"}, users.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	snap, first, end := opened(t, src, sel)
	defer end()
	other, err := snap.Reader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	plan := source.Plan{Selection: sel, Order: export.ByKey}
	for i := range ranges {
		rng := source.Range{Index: i}
		if i > 0 {
			rng.After = []string{strconv.Itoa(i * rows / ranges)}
		}
		if i < ranges-1 {
			rng.UpTo = []string{strconv.Itoa((i + 1) * rows / ranges)}
		}
		plan.Ranges = append(plan.Ranges, rng)
	}
	out := bytes.NewBuffer(gzipmember.Header())
	c := &copier{plan: plan, encoding: encodingOf(export.Gzip), sequencer: newSequencer(out), progress: &progress{}, results: make([]rangeResult, ranges)}
	spare := make(chan *source.Reader, 1)
	spare <- other
	if err := c.run(ctx, slog.New(slog.DiscardHandler), snap, readers{first: first, wanted: 1, spare: spare}); err != nil {
		t.Fatal(err)
	}
	if len(spare) > 0 {
		other.Close(ctx)
		t.Error("nobody took the reader")
	}
	if _, err := other.Count(ctx, sel); err == nil {
		t.Error("the reader that was taken is still open")
	}
	var total rangeResult
	for _, r := range c.results {
		total = total.then(r)
	}
	out.Write(gzipmember.Trailer(total.Sum))
	z, err := gzip.NewReader(out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if want := servertest.PSQL(t, url, "COPY (SELECT * FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"); err != nil || string(got) != want {
		t.Errorf("%d bytes (%v) differ from psql's %d", len(got), err, len(want))
	}
}
