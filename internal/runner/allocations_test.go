package runner

import (
	"io"
	"log/slog"
	"runtime"
	"testing"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// Nothing is allocated for each row on its way from the connection to the
// file, whatever the format.
func TestCopy_allocations(t *testing.T) {
	const rows = 50_000
	url := servertest.Database(t)
	servertest.Users(t, url, rows)
	src, err := source.New(url)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*export.Format){
		"default":    func(*export.Format) {},
		"CRLF":       func(f *export.Format) { f.LineEnding = export.CRLF },
		"guarded":    func(f *export.Format) { f.FormulaGuard = true },
		"not packed": func(f *export.Format) { f.Compression = export.NoCompression },
	} {
		t.Run(name, func(t *testing.T) {
			format := export.DefaultFormat()
			change(&format)
			spec, err := dataset.Default().Spec(dataset.Request{Dataset: "users", Format: &format}, dataset.Access{})
			if err != nil {
				t.Fatal(err)
			}
			users, _ := dataset.Default().Find("users")
			sel, err := dataset.Default().Resolve(spec, users.Fingerprint())
			if err != nil {
				t.Fatal(err)
			}
			if n := mallocsOfCopy(t, src, sel, rows); n > rows/20 {
				t.Errorf("%d allocations for %d rows", n, rows)
			}
		})
	}
}

// mallocsOfCopy is how many objects were allocated while so many rows were copied.
func mallocsOfCopy(t *testing.T, src *source.Source, sel dataset.Selection, rows int64) uint64 {
	t.Helper()
	ctx := t.Context()
	snap, reader, end := opened(t, src, sel)
	defer end()
	plan, err := reader.Plan(ctx, sel)
	if err != nil {
		t.Fatal(err)
	}
	copier := &copier{
		plan: plan, encoding: encodingOf(sel.Format.Compression), sequencer: newSequencer(io.Discard),
		progress: &progress{}, results: make([]rangeResult, len(plan.Ranges)),
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = copier.run(ctx, slog.New(slog.DiscardHandler), snap, readers{first: reader, wanted: 1})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if n := copier.results[0].Rows; n != rows {
		t.Errorf("%d rows copied, want %d", n, rows)
	}
	return after.Mallocs - before.Mallocs
}
