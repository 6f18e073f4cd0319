package runner_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// limited is the fixture with users under limits.
func (f fixture) limited(limits dataset.Limits) fixture {
	d, _ := dataset.Default().Find("users")
	d.Limits = limits
	r := *f.Runner
	r.Catalog = dataset.New(d)
	f.Runner = &r
	return f
}

// wantLimit checks that an export failed at once by a limit, says which, and
// that nothing of it is left but so many other objects.
func (f fixture) wantLimit(t *testing.T, e export.Export, code export.Code, says string, objects int) {
	t.Helper()
	if e.Status != export.Failed || e.Failure == nil || e.Failure.Code != code || e.Attempt != 1 {
		t.Fatalf("status %s, failure %+v in attempt %d, want %s in the first", e.Status, e.Failure, e.Attempt, code)
	}
	if !strings.Contains(e.Failure.Message, says) || !strings.Contains(e.Failure.Message, "limit of this dataset") {
		t.Errorf("message %q, want the limit %s", e.Failure.Message, says)
	}
	f.wantNothingLeft(t, e, objects)
}

// As many rows, and as large a file, as the limit says are fine; one more isn't.
func TestRunner_limitsAreExact(t *testing.T) {
	for name, rows := range map[string]int{"no rows but a header": 0, "one row": 1, "one request": 1000, "multipart": 500_000} {
		t.Run(name, func(t *testing.T) {
			url := servertest.Database(t)
			servertest.Users(t, url, rows)
			f := newFixture(t, url)
			e := f.run(t, f.create(t).ID)
			if e.Status != export.Completed {
				t.Fatalf("export %+v", e)
			}
			size := e.Result.Bytes
			objects := 1
			if rows > 0 {
				fits := f.limited(dataset.Limits{Rows: int64(rows), Bytes: size})
				if e := fits.run(t, fits.create(t).ID); e.Status != export.Completed || e.Result.Bytes != size {
					t.Errorf("at the limits: status %s, failure %+v", e.Status, e.Failure)
				}
				objects++
			}
			if rows > 1 {
				over := f.limited(dataset.Limits{Rows: int64(rows - 1)})
				over.wantLimit(t, over.run(t, over.create(t).ID), export.RowLimit, strconv.Itoa(rows-1)+" rows", objects)
			}
			over := f.limited(dataset.Limits{Bytes: size - 1})
			over.wantLimit(t, over.run(t, over.create(t).ID), export.ByteLimit, strconv.FormatInt(size-1, 10)+" bytes", objects)
		})
	}
}

// The copy stops as soon as there are too many rows: it doesn't read the rest.
func TestRunner_rowLimitStopsTheCopy(t *testing.T) {
	url := servertest.Database(t)
	servertest.PSQL(t, url, `CREATE VIEW slow AS
		SELECT i AS id, CASE WHEN i > 5000 THEN pg_sleep(30)::text ELSE repeat('x', 100) END AS v FROM generate_series(1, 6000) i`)
	f := newFixture(t, url)
	d := dataset.Dataset{
		Name: "slow", Relation: dataset.Relation{Schema: "public", Name: "slow"}, Columns: []dataset.Column{{Name: "id"}, {Name: "v"}},
		Limits: dataset.Limits{Rows: 1000},
	}
	f.Catalog = dataset.New(d)
	began := time.Now()
	e := f.export(t, d, export.Spec{Dataset: "slow"})
	f.wantLimit(t, e, export.RowLimit, "1000 rows", 0)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the export failed after %v", took)
	}
}

// The count may know that there are too many rows long before the copy does:
// here the copy computes a column, for most of a minute.
func TestRunner_rowLimitByTheCount(t *testing.T) {
	url := servertest.Database(t)
	servertest.PSQL(t, url, `CREATE TABLE t (id int PRIMARY KEY, v text GENERATED ALWAYS AS (md5(repeat('x', 20000000 + id))) VIRTUAL);
		INSERT INTO t SELECT generate_series(1, 1000); ANALYZE t (id)`)
	f := newFixture(t, url)
	d := dataset.Dataset{
		Name: "t", Relation: dataset.Relation{Schema: "public", Name: "t"}, Key: []string{"id"}, Columns: []dataset.Column{{Name: "id"}, {Name: "v"}},
		Limits: dataset.Limits{Rows: 999},
	}
	f.Catalog = dataset.New(d)
	began := time.Now()
	f.wantLimit(t, f.export(t, d, export.Spec{Dataset: "t"}), export.RowLimit, "999 rows", 0)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the export failed after %v", took)
	}
}

// A snapshot that gets too old ends the export, also while no rows flow.
func TestRunner_ageLimit(t *testing.T) {
	url := servertest.Database(t)
	servertest.PSQL(t, url, `CREATE VIEW slow AS SELECT i AS id, pg_sleep(20)::text AS v FROM generate_series(1, 3) i`)
	f := newFixture(t, url)
	d := dataset.Dataset{
		Name: "slow", Relation: dataset.Relation{Schema: "public", Name: "slow"}, Columns: []dataset.Column{{Name: "id"}, {Name: "v"}},
		Limits: dataset.Limits{Age: time.Second},
	}
	f.Catalog = dataset.New(d)
	began := time.Now()
	e := f.export(t, d, export.Spec{Dataset: "slow"})
	f.wantLimit(t, e, export.AgeLimit, "1s", 0)
	if took := time.Since(began); took < time.Second || took > 10*time.Second {
		t.Errorf("the export failed after %v", took)
	}
	// One that is read in time isn't touched by it.
	servertest.Users(t, url, 1000)
	quick := f.limited(dataset.Limits{Age: time.Minute})
	if e := quick.run(t, quick.create(t).ID); e.Status != export.Completed {
		t.Errorf("status %s, failure %+v", e.Status, e.Failure)
	}
}

// A function's time is a limit, too: the export fails before it is over, and
// isn't tried again in vain.
func TestRunner_timeLimit(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 100)
	f := newFixture(t, url)
	e := f.create(t)
	servertest.Lock(t, url, "users")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := f.Run(ctx, queue.Message{ExportID: e.ID}); err != nil || ctx.Err() != nil {
		t.Errorf("run: %v; the function's time: %v", err, ctx.Err())
	}
	if e = f.get(t, e.ID); e.Status != export.Failed || e.Failure.Code != export.TimeLimit || e.Attempt != 1 {
		t.Errorf("status %s, failure %+v, attempt %d", e.Status, e.Failure, e.Attempt)
	}
	f.wantNothingLeft(t, e, 0)
}
