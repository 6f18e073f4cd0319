package runner_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5" //nolint:depguard // sessions of the test's own, which last and can be waited for

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// yard is one database and one set of servers for many exports.
type yard struct {
	fixture
	url string

	mu      sync.Mutex
	sums    map[string][sha256.Size]byte // of psql's files, by order and query
	schemas int
	ends    map[string]int // exports by how they ended
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{url: servertest.Database(t), sums: map[string][sha256.Size]byte{}, ends: map[string]int{}}
	y.fixture = newFixture(t, y.url)
	servertest.PSQL(t, y.url, rows)
	return y
}

// sum is the SHA-256 of psql's file of a query, in the key's order or, when
// the export's isn't in that order, with its lines sorted.
func (y *yard) sum(t *testing.T, query string, order export.Order) [sha256.Size]byte {
	t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	key := string(order) + query
	sum, ok := y.sums[key]
	if !ok {
		sum = sumOf(servertest.PSQL(t, y.url, "COPY (SELECT * FROM ("+query+") ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"), order)
		y.sums[key] = sum
	}
	return sum
}

func sumOf(file string, order export.Order) [sha256.Size]byte {
	if order != export.ByKey {
		file = strings.Join(slices.Sorted(strings.Lines(file)), "")
	}
	return sha256.Sum256([]byte(file))
}

func (y *yard) ended(how string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.ends[how]++
}

// connect opens a session in a schema. It is closed after the cleanups that
// come later.
func (y *yard) connect(t *testing.T, schema string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(y.url)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["search_path"] = schema + ",public"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// exec runs statements, also after the test.
func (y *yard) exec(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.PgConn().Exec(context.WithoutCancel(t.Context()), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// build makes t in a schema of its own.
func (y *yard) build(t *testing.T, setup string) (schema string) {
	t.Helper()
	y.mu.Lock()
	y.schemas++
	schema = fmt.Sprintf("s%d", y.schemas)
	y.mu.Unlock()
	c := y.connect(t, schema)
	y.exec(t, c, "CREATE SCHEMA "+schema+"; "+strings.ReplaceAll(setup, "@schema@", schema))
	t.Cleanup(func() {
		y.exec(t, c, strings.ReplaceAll("DROP SCHEMA IF EXISTS @, @_new, @_gone CASCADE", "@", schema))
	})
	return schema
}

// reading is the yard's fixture for the t of a schema, by way of a proxy.
func (y *yard) reading(t *testing.T, p *pgProxy, schema string) fixture {
	t.Helper()
	f, r := y.fixture, *y.Runner
	src, err := source.New(p.url)
	if err != nil {
		t.Fatal(err)
	}
	r.Source = src
	r.Catalog = dataset.New(dataset.Dataset{
		Name: "t", Relation: dataset.Relation{Schema: schema, Name: "t"}, Key: []string{"id"}, Columns: []dataset.Column{{Name: "id"}, {Name: "v"}, {Name: "n"}},
	})
	f.Runner = &r
	return f
}

// request makes the record of an export of t.
func request(t *testing.T, f fixture) export.Export {
	t.Helper()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: export.Spec{Dataset: "t"}, Token: uuid.NewString(),
		DatasetFingerprint: f.Catalog.Datasets()[0].Fingerprint(), Status: export.Processing, Phase: export.Queued,
		CreatedAt: time.Now(), DueAt: time.Now().Add(time.Minute),
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// steps are those of an export that nothing disturbs.
func (y *yard) steps(t *testing.T, d ddl) []string {
	t.Helper()
	p := newPGProxy(t, y.url, true, func(int, string) {})
	f := y.reading(t, p, y.build(t, d.setup))
	e := f.run(t, request(t, f).ID)
	y.check(t, f, e, d.query(unchanged))
	steps := p.taken()
	copies := slices.Collect(func(yield func(string) bool) {
		for _, s := range steps {
			if strings.HasPrefix(s, "COPY") && !yield(s) {
				return
			}
		}
	})
	if len(copies) < 3 || d.wide && e.Result.UploadID == "" {
		t.Fatalf("%d ranges, upload %q: the test proves too little\n%s", len(copies), e.Result.UploadID, list(steps))
	}
	return steps
}

// check compares the file of a completed export with what psql makes of the
// queries, one of which must fit, and removes it.
func (y *yard) check(t *testing.T, f fixture, e export.Export, queries ...string) {
	t.Helper()
	if e.Status != export.Completed {
		t.Fatalf("status %s, phase %s, attempt %d, failure %+v", e.Status, e.Phase, e.Attempt, e.Failure)
	}
	file := f.file(t, e)
	order := e.Snapshot.Order
	sum := sumOf(file, order)
	if !slices.ContainsFunc(queries, func(q string) bool { return y.sum(t, q, order) == sum }) {
		t.Errorf("attempt %d: the file of %d rows and %d bytes is none of %q", e.Attempt, e.Result.Rows, len(file), queries)
	}
	if err := f.Buckets.For(e).Delete(t.Context(), e.Result.Key); err != nil {
		t.Error(err)
	}
}

// change is a statement that is under way in a session of its own.
type change struct {
	session, watch *pgx.Conn
	sql            string
	done           chan struct{} // closed when it has ended, with err
	err            error

	issued, blocked bool
	snapshot        bool // the export had its snapshot before it
}

func (y *yard) change(t *testing.T, sql, schema string) *change {
	t.Helper()
	c := &change{
		sql: strings.ReplaceAll(sql, "@schema@", schema), done: make(chan struct{}),
		session: y.connect(t, schema), watch: y.connect(t, schema),
	}
	t.Cleanup(func() {
		if c.issued {
			<-c.done // the test's context has ended it
		}
	})
	return c
}

// issue begins the statement and waits until it is done, or waits for the
// export.
func (c *change) issue(t *testing.T) {
	c.issued = true
	go func() {
		defer close(c.done)
		_, c.err = c.session.PgConn().Exec(t.Context(), c.sql).ReadAll()
	}()
	for !c.blocked {
		select {
		case <-c.done:
			return
		case <-time.After(2 * time.Millisecond):
		}
		err := c.watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE pid = ANY (pg_blocking_pids($1)) AND application_name LIKE 'csvexport %')`, c.session.PgConn().PID()).Scan(&c.blocked)
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// wait waits until the statement is done, which it must be soon after the
// export has ended.
func (c *change) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
		if c.err != nil {
			t.Fatalf("%s: %v", c.sql, c.err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: still waits after the export's attempt", c.sql)
	}
}

// run makes an export of t and issues the statement ahead of one of its steps.
func (y *yard) run(t *testing.T, d ddl, at int, hurry bool) {
	t.Helper()
	schema := y.build(t, d.setup)
	c := y.change(t, d.sql, schema)
	taken := false
	p := newPGProxy(t, y.url, hurry, func(step int, what string) {
		if step == at {
			c.snapshot = taken
			c.issue(t)
		}
		taken = taken || strings.Contains(what, "pg_export_snapshot")
	})
	p.slowCount.Store(d.anyTime) // its result would tell of some of the mixed files
	f := y.reading(t, p, schema)
	e := f.run(t, request(t, f).ID)
	for e.Status == export.Processing {
		if c.issued {
			c.wait(t)
		}
		e = f.run(t, e.ID)
	}
	p.close()
	defer func() {
		if t.Failed() {
			t.Logf("issued %t, blocked %t, with a snapshot %t; the steps:\n%s", c.issued, c.blocked, c.snapshot, list(p.taken()))
		}
	}()
	if c.issued {
		c.wait(t)
	}
	y.judge(t, f, e, d, c)
	y.wantNothingLeft(t, e, c)
}

// runAfterBegin makes an export of t while the statement's transaction is open.
// It commits when the export waits for it.
func (y *yard) runAfterBegin(t *testing.T, d ddl) {
	t.Helper()
	schema := y.build(t, d.setup)
	c := y.change(t, d.sql, schema)
	y.exec(t, c.session, "BEGIN; "+c.sql)
	p := newPGProxy(t, y.url, false, func(int, string) {})
	f := y.reading(t, p, schema)
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() {
		waitFor(t, func() bool {
			var waits bool
			err := c.watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE $1::int = ANY (pg_blocking_pids(pid)) AND application_name LIKE 'csvexport %')`, c.session.PgConn().PID()).Scan(&waits)
			return waits || err != nil
		})
		y.exec(t, c.session, "COMMIT")
	})
	e := f.run(t, request(t, f).ID)
	for e.Status == export.Processing {
		e = f.run(t, e.ID)
	}
	background.Wait()
	y.judge(t, f, e, d, &change{issued: true})
	y.wantNothingLeft(t, e, c)
}

// judge checks how the export ended.
func (y *yard) judge(t *testing.T, f fixture, e export.Export, d ddl, c *change) {
	t.Helper()
	switch {
	case !c.issued:
		y.ended("without")
		y.check(t, f, e, d.query(unchanged))
	case d.anyTime:
		y.ended(fmt.Sprintf("before or after, attempt %d", e.Attempt))
		y.check(t, f, e, d.query(unchanged), d.query(d.after))
	case e.Attempt == 1 && (c.blocked || c.snapshot):
		y.ended("before")
		y.check(t, f, e, d.query(unchanged))
	case e.Attempt > 2:
		t.Errorf("%d attempts: %s, %+v", e.Attempt, e.Status, e.Failure)
	case d.after == "":
		y.ended(fmt.Sprintf("rejected, attempt %d", e.Attempt))
		if e.Status != export.Failed || e.Failure.Code != export.SourceRejected {
			t.Errorf("status %s, failure %+v, want %s", e.Status, e.Failure, export.SourceRejected)
		}
	default:
		y.ended(fmt.Sprintf("after, attempt %d", e.Attempt))
		y.check(t, f, e, d.query(d.after))
	}
}

// wantNothingLeft checks that the export, whose file is removed, has no other
// object, no open upload and no session.
func (y *yard) wantNothingLeft(t *testing.T, e export.Export, c *change) {
	t.Helper()
	prefix := e.KeyPrefix()
	list, err := servertest.S3(t).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &y.bucket, Prefix: &prefix})
	if err != nil || len(list.Contents) != 0 {
		t.Errorf("%d objects are left (%v)", len(list.Contents), err)
	}
	if open, err := y.Buckets.For(e).OpenUploads(t.Context(), prefix); err != nil || len(open) != 0 {
		t.Errorf("open uploads %v (%v), want none", open, err)
	}
	waitFor(t, func() bool { // a session ends a moment after its connection
		var n int
		err := c.watch.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, $1)", "csvexport "+e.ID).Scan(&n)
		return err == nil && n == 0
	})
}
