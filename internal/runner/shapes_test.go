package runner_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	neturl "net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// shape is a relation that an export must read as psql does.
type shape struct {
	name string
	// setup makes the relation s; each statement runs by itself, in the
	// shape's own schema.
	setup []string
	// relation is what is exported; empty for s.
	relation string
	key      []string
	columns  []string // empty for id and v; "a AS b" is renamed
	filter   dataset.Predicate
	// want is the query whose COPY the file must be. Where it isn't in a total
	// order, sorted says that lines are compared after sorting.
	want   string
	sorted bool
	order  export.Order
	forced export.Order // of the dataset; empty for the faster one
	// ranges is the number that the plan must have at least; 1 is exact.
	ranges int
	since  int // the first major version of the server that can make it; 0 for all
	// settings are the server's, for the sessions that read.
	settings string
	// stranger reads as a role that owns nothing: row security applies to it,
	// and it may read what setup grants to @role@.
	stranger bool
}

// The exports of every shape, over one, two and four connections, are what
// psql makes of SQL that was written by hand, in the same order.
func TestShapes(t *testing.T) {
	h := newHall(t)
	version := servertest.Version(t)
	t.Run("all", func(t *testing.T) {
		for i, s := range allShapes() {
			if s.since > version {
				continue
			}
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				h.check(t, s, fmt.Sprintf("s%d", i))
			})
		}
	})
}

// hall is where shapes are shown: one database and one fixture for all.
type hall struct {
	fixture
	url, role string
}

func newHall(t *testing.T) hall {
	t.Helper()
	h := hall{url: servertest.Database(t), role: "stranger " + uuid.NewString()}
	h.fixture = newFixture(t, h.url)
	quoted := `"` + h.role + `"`
	servertest.PSQL(t, h.url, "CREATE ROLE "+quoted+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() {
		servertest.PSQL(t, h.url, "DROP OWNED BY "+quoted)
		servertest.PSQL(t, servertest.Server(t), "DROP ROLE "+quoted)
	})
	return h
}

// in is the database's URL for sessions in a schema.
func (h hall) in(t *testing.T, schema, settings string) string {
	t.Helper()
	u, err := neturl.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("options", "-c search_path="+schema+",public -c client_min_messages=warning "+settings)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // libpq takes a plus for a plus
	return u.String()
}

// as is the URL for another role, whose password is x.
func as(t *testing.T, url, role string) string {
	t.Helper()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = neturl.UserPassword(role, "x")
	return u.String()
}

// build makes the shape's relation and returns the schema's URL for whoever
// reads it.
func (h hall) build(t *testing.T, s shape, schema string) string {
	t.Helper()
	quoted := `"` + h.role + `"`
	servertest.PSQL(t, h.url, "CREATE SCHEMA "+schema+"; GRANT USAGE ON SCHEMA "+schema+" TO "+quoted)
	t.Cleanup(func() { servertest.PSQL(t, h.url, "SET client_min_messages = warning; DROP SCHEMA "+schema+" CASCADE") })
	url := h.in(t, schema, s.settings)
	for _, sql := range s.setup {
		servertest.PSQL(t, url, strings.NewReplacer("@plainrole@", h.role, "@role@", quoted, "@schema@", schema).Replace(sql))
	}
	if s.stranger {
		url = as(t, url, h.role)
	}
	return url
}

// dataset is the shape as a catalog has it.
func (s shape) dataset(schema string) dataset.Dataset {
	d := dataset.Dataset{Name: schema, Relation: dataset.Relation{Schema: schema, Name: "s"}, Key: s.key, Order: s.forced}
	if s.relation != "" {
		d.Relation.Name = s.relation
	}
	columns := s.columns
	if columns == nil {
		columns = []string{"id", "v"}
	}
	for _, c := range columns {
		from, to, _ := strings.Cut(c, " AS ")
		d.Columns = append(d.Columns, dataset.Column{Name: cmp.Or(to, from), Column: from})
	}
	if s.filter.Column != "" {
		d.Filters = []dataset.Filter{{Name: "filter", Column: s.filter.Column, Operator: s.filter.Operator, Type: dataset.Text}}
	}
	return d
}

func (h hall) check(t *testing.T, s shape, schema string) {
	t.Helper()
	url := h.build(t, s, schema)
	want := servertest.PSQL(t, url, "COPY ("+s.want+") TO STDOUT (FORMAT csv, HEADER)")
	d := s.dataset(schema)
	f := h.reading(t, url, d)
	h.checkPlan(t, f, s, d)
	for _, connections := range []int{1, 2, 4} {
		f.Connections = connections
		e := f.export(t, d, s.spec(d))
		if e.Status != export.Completed {
			t.Errorf("over %d connections: %s, %+v", connections, e.Status, e.Failure)
			continue
		}
		if e.Snapshot.Order != s.order {
			t.Errorf("over %d connections: order %s, want %s", connections, e.Snapshot.Order, s.order)
		}
		got := f.member(t, e)
		if e.Result.UncompressedBytes != int64(len(got)) {
			t.Errorf("over %d connections: %d bytes, the record says %d", connections, len(got), e.Result.UncompressedBytes)
		}
		if s.sorted {
			got, want = sortedLines(got), sortedLines(want)
		}
		if got != want {
			t.Errorf("over %d connections: %s", connections, difference(got, want))
		}
	}
}

// reading returns the fixture with a catalog of d only, that reads at url.
func (h hall) reading(t *testing.T, url string, d dataset.Dataset) fixture {
	t.Helper()
	src, err := source.New(url)
	if err != nil {
		t.Fatal(err)
	}
	f, r := h.fixture, *h.Runner
	r.Source, r.Catalog = src, dataset.New(d)
	f.Runner = &r
	return f
}

func (s shape) spec(d dataset.Dataset) export.Spec {
	spec := export.Spec{Dataset: d.Name}
	if s.filter.Column != "" {
		spec.Filters = map[string][]string{"filter": s.filter.Values}
	}
	return spec
}

// export makes an export and returns what became of it in one attempt.
func (f fixture) export(t *testing.T, d dataset.Dataset, spec export.Spec) export.Export {
	t.Helper()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: spec, Token: uuid.NewString(),
		DatasetFingerprint: d.Fingerprint(), Status: export.Processing, Phase: export.Queued,
		CreatedAt: time.Now(), DueAt: time.Now().Add(time.Minute),
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return f.run(t, e.ID)
}

// checkPlan looks at how the runner divides the shape.
func (h hall) checkPlan(t *testing.T, f fixture, s shape, d dataset.Dataset) {
	t.Helper()
	sel, err := f.Catalog.Resolve(s.spec(d), d.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	snap, err := f.Source.Snapshot(t.Context(), uuid.NewString(), 1, sel)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close(t.Context())
	r, err := snap.Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	plan, err := r.Plan(t.Context(), sel)
	if err != nil {
		t.Errorf("no plan: %v", err)
		return
	}
	if n := len(plan.Ranges); n < s.ranges || s.ranges == 1 && n > 1 {
		t.Errorf("%d ranges in order %s, want %d", n, plan.Order, s.ranges)
	}
}

// member returns the export's file, decompressed, which must be one gzip
// member with nothing behind it.
func (f fixture) member(t *testing.T, e export.Export) string {
	t.Helper()
	out, err := servertest.S3(t).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &f.bucket, Key: &e.Result.Key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	raw, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	in := bytes.NewReader(raw)
	r, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	var plain strings.Builder
	if _, err := io.Copy(&plain, r); err != nil {
		t.Fatal(err)
	}
	if in.Len() > 0 {
		t.Errorf("%d bytes stand behind the gzip member", in.Len())
	}
	return plain.String()
}

func sortedLines(s string) string {
	lines := strings.SplitAfter(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// difference tells where two files part, in a few words.
func difference(got, want string) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	at = max(strings.LastIndexByte(got[:at], '\n')+1, 0)
	show := func(s string) string { return s[at:min(at+120, len(s))] }
	return fmt.Sprintf("%d bytes in %d lines differ from psql's %d in %d, first at byte %d: got %q, want %q",
		len(got), strings.Count(got, "\n"), len(want), strings.Count(want, "\n"), at, show(got), show(want))
}
