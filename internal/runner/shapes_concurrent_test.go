package runner_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// changes changes the table s in every way, again and again, until there is a
// row in the table stop: rows come and go, values and keys change.
const changes = `DO $$ BEGIN
	FOR n IN 1..1000000 LOOP
		UPDATE s SET v = -v WHERE id % 499 = n % 499;
		UPDATE s SET id = CASE id % 2 WHEN 0 THEN nextval('ids') ELSE -nextval('ids') END WHERE id % 997 = n % 997;
		DELETE FROM s WHERE id % 991 = n % 991;
		INSERT INTO s (id, v, filler) SELECT nextval('ids'), n, repeat('new', 1000) FROM generate_series(1, 10);
		INSERT INTO rounds VALUES (n);
		COMMIT;
		EXIT WHEN EXISTS (SELECT FROM stop);
	END LOOP;
END $$`

// While rows are inserted, updated and deleted all the time, the file holds
// the rows of one moment: psql, on the export's own snapshot, sees the same.
func TestShapes_concurrentChange(t *testing.T) {
	dense := loaded("id int PRIMARY KEY, v int", "i, i", "i")
	const rows = "SELECT id, v FROM s"
	for _, s := range []shape{
		{name: "key", setup: []string{dense}, key: []string{"id"}, want: rows},
		{name: "random key", setup: []string{loaded("id int PRIMARY KEY, v int", "i, i", "md5(i::text)")}, key: []string{"id"}, want: rows},
		{name: "no key", setup: []string{dense}, want: rows},
		{name: "partitions", setup: []string{partitions(keyed, "HASH (id)", byHash, "i, i", "1")}, key: []string{"id"}, want: rows},
		{name: "partitions without a key", setup: []string{partitions(keyed, "RANGE (id)", byRange, "i, i", "1")}, want: rows},
		{
			name: "filter", setup: []string{dense}, key: []string{"id"}, want: rows + " WHERE v >= 50",
			filter: dataset.Predicate{Column: "v", Operator: dataset.AtLeast, Values: []string{"50"}},
		},
		{name: "view", setup: []string{dense + "; CREATE VIEW w AS SELECT * FROM s WHERE id > 100"}, relation: "w", key: []string{"id"}, want: "SELECT id, v FROM w"},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			newHall(t).checkDuringChanges(t, s)
		})
	}
}

func (h hall) checkDuringChanges(t *testing.T, s shape) {
	t.Helper()
	s.setup = append(s.setup, "CREATE TABLE rounds (n int); CREATE TABLE stop (); CREATE SEQUENCE ids START 100000")
	url := h.build(t, s, "s")
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { servertest.PSQL(t, url, changes) })
	defer servertest.PSQL(t, url, "INSERT INTO stop DEFAULT VALUES")
	rounds := func() int {
		n, _ := strconv.Atoi(strings.TrimSpace(servertest.PSQL(t, url, "SELECT count(*) FROM rounds")))
		return n
	}
	waitFor(t, func() bool { return rounds() > 0 })

	// When the first reader is about to import the snapshot, psql does it too.
	// The changes may bring about the one order or the other.
	copySQL := func(order string) string {
		return "COPY (" + s.want + " ORDER BY " + order + ") TO STDOUT (FORMAT csv, HEADER)"
	}
	orders := map[export.Order]string{export.ByKey: "id", export.Physical: "tableoid, ctid"}
	if s.relation != "" {
		orders = map[export.Order]string{export.ByKey: "id"}
	}
	want, then := map[export.Order]string{}, 0
	proxy := newPGProxy(t, url, false, func(_ int, what string) {
		if strings.HasPrefix(what, "SET TRANSACTION SNAPSHOT ") && len(want) == 0 {
			for order, columns := range orders {
				want[order] = servertest.PSQL(t, url, "BEGIN ISOLATION LEVEL REPEATABLE READ; "+what+"; "+copySQL(columns))
			}
			then = rounds()
			waitFor(t, func() bool { return rounds() > then+1 })
		}
	})
	d := s.dataset("s")
	f := h.reading(t, proxy.url, d)
	f.Connections = 4
	e := f.export(t, d, s.spec(d))
	if e.Status != export.Completed {
		t.Fatalf("%s: %+v", e.Status, e.Failure)
	}
	if got := f.member(t, e); got != want[e.Snapshot.Order] {
		t.Errorf("in order %s: %s", e.Snapshot.Order, difference(got, want[e.Snapshot.Order]))
	}
	if copies := count(proxy.taken(), "COPY "); copies < 2 && s.relation == "" {
		t.Errorf("%d ranges: too few to prove anything", copies)
	}
	if servertest.PSQL(t, url, copySQL("id")) == want[export.ByKey] {
		t.Error("nothing has changed since the snapshot: the test proves nothing")
	}
	t.Logf("%d rounds of changes while the export ran", rounds()-then)
}

// count is how many steps begin so.
func count(steps []string, prefix string) (n int) {
	for _, s := range steps {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}
