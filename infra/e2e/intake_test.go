package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// atOnce sends n equal requests at the same time and returns the answers.
func (l *local) atOnce(t *testing.T, n int, target, body string, headers ...string) []answer {
	t.Helper()
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = l.request(t, http.MethodPost, target, body, headers...) })
	}
	all.Wait()
	return answers
}

// One key makes one export, however many ask at once.
func TestIdempotencyKey(t *testing.T) {
	shared.seed(t, smallRows)
	const body = `{"columns":["id","email"],"filters":{"country_code":["US","DE"]}}`
	before := len(shared.recorded(t, ""))
	ids := map[string]int{}
	for _, a := range shared.atOnce(t, 50, "/exports/csv", body, "Idempotency-Key: fifty-at-once") {
		s := decodeStatus(t, a, http.StatusAccepted)
		if a.header.Get("Location") != "/exports/"+s.ExportID+"/status" {
			t.Errorf("Location %q of export %s", a.header.Get("Location"), s.ExportID)
		}
		ids[s.ExportID]++
	}
	if len(ids) != 1 {
		t.Fatalf("50 equal requests with one key made exports %v", ids)
	}
	if made := len(shared.recorded(t, "")) - before; made != 1 {
		t.Errorf("%d exports are recorded, want 1", made)
	}
	id := slices.Collect(maps.Keys(ids))[0]
	done := shared.follow(t, id, time.Minute, nil)
	if again := decodeStatus(t, shared.request(t, http.MethodPost, "/exports/csv", `{"filters":{"country_code":["DE","US"]},"columns":["id","email"]}`, "Idempotency-Key: fifty-at-once"), http.StatusAccepted); !cmp.Equal(done, again) {
		t.Errorf("the same request later (-status +answer):\n%s", cmp.Diff(done, again))
	}
	checkProblem(t, shared.request(t, http.MethodPost, "/exports/csv", "{}", "Idempotency-Key: fifty-at-once"), http.StatusUnprocessableEntity, "idempotency_mismatch")
	t.Run("one worker", func(t *testing.T) {
		if started := shared.attempts(t, id); started != 1 {
			t.Errorf("%d workers claimed the export", started)
		}
	})
}

// attempts counts the claims of an export in the logs.
func (l *local) attempts(t *testing.T, id string) (n int) {
	t.Helper()
	for _, line := range l.logs(t, "run-export") {
		if strings.Contains(string(line), `"export claimed"`) && strings.Contains(string(line), id) {
			n++
		}
	}
	return n
}

// However many ask at once, an owner never has one export more than allowed.
func TestQuota(t *testing.T) {
	l, err := up(stackName("quota"), "-ephemeral", "-port", "0", "-param", "MaxActiveExports=7", "-param", "MaxCreatesPerMinute=12")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	}()
	l.seed(t, smallRows)
	// The first create of a minute, so that all that follow are in the same.
	if left := time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)); left < 40*time.Second {
		time.Sleep(left + time.Second)
	}
	unlock := l.lockUsers(t) // nothing ends
	defer unlock()
	var accepted []string
	for _, a := range l.atOnce(t, 200, "/exports/csv", "{}") {
		if a.status == http.StatusAccepted {
			accepted = append(accepted, decodeStatus(t, a, http.StatusAccepted).ExportID)
			continue
		}
		checkProblem(t, a, http.StatusTooManyRequests, "too_many_exports")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if recorded := l.recorded(t, ""); len(accepted) != 7 || len(recorded) != 7 {
		t.Errorf("%d of 200 were accepted, %d are recorded; want 7", len(accepted), len(recorded))
	}
	checkQueue(t, l, accepted)

	// A cancelled export makes room for another, until the minute's are used up.
	var more int
	for range 10 {
		l.remove(t, accepted[len(accepted)-1])
		accepted = accepted[:len(accepted)-1]
		a := l.request(t, http.MethodPost, "/exports/csv", "{}")
		if a.status != http.StatusAccepted {
			checkProblem(t, a, http.StatusTooManyRequests, "too_many_exports")
			break
		}
		accepted = append(accepted, decodeStatus(t, a, http.StatusAccepted).ExportID)
		more++
	}
	if more != 5 {
		t.Errorf("%d exports were accepted after the first 7, want 5: 12 in a minute", more)
	}
	unlock()
	for _, id := range accepted {
		if done := l.follow(t, id, time.Minute, nil); done.Status != "completed" {
			t.Errorf("export %s is %s", id, done.Status)
		}
	}
	if active := l.items(t, "owner#anonymous")["quota"]["active"]; active != number(0) {
		t.Errorf("%v active exports are counted at the end", active)
	}
}

// checkQueue checks the places of exports of which three are at work.
func checkQueue(t *testing.T, l *local, ids []string) {
	t.Helper()
	eventually(t, 30*time.Second, "three workers are busy", func() bool { return len(l.busyWorkers(t)) == 3 })
	var places []int
	eventually(t, 10*time.Second, "four exports wait", func() bool {
		places = nil
		for _, id := range ids {
			s := decodeStatus(t, l.get(t, "/exports/"+id+"/status"), http.StatusOK)
			if (s.QueuePosition != nil) != (s.Phase != nil && *s.Phase == "queued") {
				t.Fatalf("phase and queuePosition contradict each other: %+v", s)
			}
			if s.QueuePosition != nil {
				places = append(places, *s.QueuePosition)
			}
		}
		slices.Sort(places)
		return len(places) == 4
	})
	// Those of one millisecond share a place.
	if places[0] != 1 || places[3] > 4 {
		t.Errorf("places in the queue: %v, want from 1 to 4", places)
	}
}

// A failed or cancelled export is requested anew, as it was.
func TestRetry(t *testing.T) {
	shared.seed(t, smallRows)
	unlock := shared.lockUsers(t)
	first := decodeStatus(t, shared.request(t, http.MethodPost, "/exports/csv", `{"columns":["id"],"filters":{"country_code":"DE"},"format":{"compression":"none"}}`), http.StatusAccepted)
	checkProblem(t, shared.request(t, http.MethodPost, "/exports/"+first.ExportID+"/retry", ""), http.StatusConflict, "export_not_ready")
	shared.remove(t, first.ExportID)
	unlock()
	cancelled := decodeStatus(t, shared.get(t, "/exports/"+first.ExportID+"/status"), http.StatusOK)
	answers := shared.atOnce(t, 10, "/exports/"+first.ExportID+"/retry", "", "Idempotency-Key: retry-once")
	retried := decodeStatus(t, answers[0], http.StatusAccepted)
	for _, a := range answers {
		if s := decodeStatus(t, a, http.StatusAccepted); s.ExportID != retried.ExportID || s.ExportID == first.ExportID {
			t.Errorf("retries made %s and %s of %s", s.ExportID, retried.ExportID, first.ExportID)
		}
	}
	done := shared.follow(t, retried.ExportID, time.Minute, nil)
	want := shared.psql(t, `COPY (SELECT id FROM users WHERE country_code = 'DE' ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`)
	got := shared.get(t, shared.get(t, "/exports/"+done.ExportID+"/download").header.Get("Location")).body
	if done.Status != "completed" || string(got) != string(want) {
		t.Errorf("the retried export is %s, its file has %d bytes, want %d", done.Status, len(got), len(want))
	}
	shared.checkUnchanged(t, cancelled)
	checkProblem(t, shared.request(t, http.MethodPost, "/exports/"+done.ExportID+"/retry", ""), http.StatusConflict, "export_not_retryable")
	checkProblem(t, shared.request(t, http.MethodPost, "/exports/"+first.ExportID+"/retry", `{"columns":["id"]}`), http.StatusBadRequest, "invalid_request")
	checkProblem(t, shared.request(t, http.MethodPost, "/exports/01890a5d-ac96-774b-bcce-b302099a8057/retry", ""), http.StatusNotFound, "not_found")
}

// An estimate is near, or exact, and refuses what a create refuses.
func TestEstimate(t *testing.T) {
	shared.seed(t, smallRows)
	shared.psql(t, "ANALYZE users")
	before := len(shared.recorded(t, ""))
	estimate := func(body string) float64 {
		t.Helper()
		var answer map[string]any
		shared.request(t, http.MethodPost, "/exports/estimate", body).decode(t, http.StatusOK, "application/json", &answer)
		if len(answer) != 2 || answer["exact"] != false {
			t.Errorf("estimate %v", answer)
		}
		return answer["estimatedRows"].(float64)
	}
	if n := estimate(""); n < smallRows*0.9 || n > smallRows*1.1 {
		t.Errorf("estimate of all %d rows: %v", smallRows, n)
	}
	if n := estimate(`{"filters":{"country_code":"ZZ"}}`); n > smallRows*0.1 {
		t.Errorf("estimate of no rows: %v", n)
	}
	checkProblem(t, shared.request(t, http.MethodPost, "/exports/estimate", `{"filters":{"nope":1}}`), http.StatusBadRequest, "invalid_request")
	unlock := shared.lockUsers(t)
	began := time.Now()
	checkProblem(t, shared.request(t, http.MethodPost, "/exports/estimate", ""), http.StatusServiceUnavailable, "unavailable")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the answer took %v", took)
	}
	unlock()
	if made := len(shared.recorded(t, "")) - before; made != 0 {
		t.Errorf("%d exports were made", made)
	}
}

// described is a dataset as the service describes it.
type described struct {
	Name    string
	Columns []struct{ Name, Type string }
	Filters []struct{ Name, Operator string }
}

// What can be exported is told as the catalog has it.
func TestDatasets_described(t *testing.T) {
	var list struct{ Datasets []described }
	if err := json.Unmarshal(shared.get(t, "/datasets").body, &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Datasets, func(d described) bool { return d.Name == "users" })
	if i < 0 {
		t.Fatalf("no users in %v", list)
	}
	users := list.Datasets[i]
	var columns, filters []string
	for _, c := range users.Columns {
		columns = append(columns, c.Name+" "+c.Type)
	}
	for _, f := range users.Filters {
		filters = append(filters, f.Name+" "+f.Operator)
	}
	if diff := cmp.Diff([]string{
		"id integer", "name varchar(255)", "email varchar(255)", "signup_date timestamptz", "country_code char(2)",
		"subscription_tier varchar(50)", "lifetime_value numeric(10,2)",
	}, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"country_code in", "subscription_tier in", "lifetime_value_min min", "lifetime_value_max max", "signup_date_from from", "signup_date_to to",
	}, filters); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
	if one := shared.get(t, "/datasets/users"); one.status != http.StatusOK {
		t.Errorf("GET /datasets/users: %d %s", one.status, one.body)
	}
	checkProblem(t, shared.get(t, "/datasets/nope"), http.StatusNotFound, "not_found")
}
