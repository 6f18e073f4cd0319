package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	listed   = 250 // exports
	inFlight = 20  // requests
)

// page is an answer of GET /exports.
type page struct {
	Exports       []json.RawMessage `json:"exports"`
	NextPageToken *string           `json:"nextPageToken"`
}

// list asks for one page and returns the ids on it and the next page's token,
// which is empty for the last page.
func (l *local) list(t *testing.T, query url.Values) (ids []string, token string) {
	t.Helper()
	var p page
	a := l.get(t, "/exports?"+query.Encode())
	a.decode(t, http.StatusOK, "application/json", &p)
	if !strings.Contains(string(a.body), `"nextPageToken":`) || p.Exports == nil {
		t.Fatalf("a page without a list or a token, be it null: %.300s", a.body)
	}
	for _, e := range p.Exports {
		one := answer{http.StatusOK, http.Header{"Content-Type": {"application/json"}}, e}
		s := decodeStatus(t, one, http.StatusOK)
		if want := query.Get("status"); want != "" && s.Status != want {
			t.Errorf("export %s is %s, asked for those that are %s", s.ExportID, s.Status, want)
		}
		ids = append(ids, s.ExportID)
	}
	if p.NextPageToken != nil {
		if token = *p.NextPageToken; token == "" {
			t.Fatal("a page token that is empty")
		}
	}
	return ids, token
}

// walk follows the page tokens to the end and returns all ids. It calls
// between, if given, after each page.
func (l *local) walk(t *testing.T, query url.Values, size int, between func(page int)) []string {
	t.Helper()
	var all []string
	query.Del("pageToken")
	for n := 1; ; n++ {
		ids, token := l.list(t, query)
		if len(ids) > size || n > 1000 {
			t.Fatalf("page %d has %d exports, want at most %d, and an end", n, len(ids), size)
		}
		all = append(all, ids...)
		if token == "" {
			return all
		}
		if between != nil {
			between(n)
		}
		query.Set("pageToken", token)
	}
}

// recorded returns all exports in the table, or those of a status, newest
// first: "CREATED ID".
func (l *local) recorded(t *testing.T, status string) []string {
	t.Helper()
	var keys []string
	for _, item := range l.allItems(t) {
		if item["sk"] == "job" && (status == "" || item["status"] == status) {
			keys = append(keys, item["createdAt"].(string)+" "+item["exportId"].(string))
		}
	}
	slices.Sort(keys)
	slices.Reverse(keys)
	return keys
}

// asListed gives listed exports the form of recorded. DynamoDB keeps those that
// were created in the same millisecond in an order of its own; they are put
// into that of recorded.
func (l *local) asListed(t *testing.T, ids []string) []string {
	t.Helper()
	created := map[string]string{}
	for _, item := range l.allItems(t) {
		if item["sk"] == "job" {
			created[item["exportId"].(string)] = item["createdAt"].(string)
		}
	}
	var keys []string
	for _, id := range ids {
		keys = append(keys, created[id]+" "+id)
	}
	for first := 0; first < len(ids); {
		end := first + 1
		for end < len(ids) && created[ids[end]] == created[ids[first]] {
			end++
		}
		slices.Sort(keys[first:end])
		slices.Reverse(keys[first:end])
		first = end
	}
	return keys
}

// createMany creates exports of no rows, a few at once, and waits for their ends.
func (l *local) createMany(t *testing.T, n int) []string {
	t.Helper()
	ids := make([]string, n)
	var group sync.WaitGroup
	free := make(chan struct{}, inFlight)
	for i := range ids {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			var s status
			a := l.request(t, http.MethodPost, "/exports/csv", `{"filters":{"country_code":"ZZ"}}`)
			if err := json.Unmarshal(a.body, &s); err != nil || a.status != http.StatusAccepted {
				t.Errorf("create answers %d (%v)\n%s", a.status, err, a.body)
			}
			ids[i] = s.ExportID
		})
	}
	group.Wait()
	eventually(t, 2*time.Minute, "the exports are done", func() bool { return l.items(t, "owner#anonymous")["quota"]["active"] == number(0) })
	return ids
}

// The list has all of an owner's exports, newest first, page by page, while
// others come.
func TestList(t *testing.T) {
	shared.seed(t, smallRows)
	created := shared.createMany(t, listed)
	shared.remove(t, created[3]) // not all are completed
	want := shared.recorded(t, "")
	var newest []string
	for _, key := range want[:listed] {
		newest = append(newest, key[strings.Index(key, " ")+1:])
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(created)), slices.Sorted(slices.Values(newest))); diff != "" {
		t.Fatalf("the newest exports aren't those just created (-want +got):\n%s", diff)
	}
	for _, size := range []int{100, 37, 1, 20} {
		t.Run(fmt.Sprintf("pages of %d", size), func(t *testing.T) {
			query := url.Values{"pageSize": {fmt.Sprint(size)}}
			if size == 20 {
				query.Del("pageSize") // the default
			}
			if diff := cmp.Diff(want, shared.asListed(t, shared.walk(t, query, size, nil))); diff != "" {
				t.Errorf("exports, newest first (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("full pages", func(t *testing.T) {
		for _, size := range []int{100, 37, 1} {
			if ids, token := shared.list(t, url.Values{"pageSize": {fmt.Sprint(size)}}); len(ids) != size || token == "" {
				t.Errorf("the first page of %d has %d exports and the token %q", size, len(ids), token)
			}
		}
	})
	t.Run("each as its status", func(t *testing.T) { checkListed(t) })
	t.Run("by status", func(t *testing.T) {
		for _, status := range []string{"completed", "failed", "processing", "cancelled", "deleted", "expired"} {
			got := shared.walk(t, url.Values{"status": {status}, "pageSize": {"100"}}, 100, nil)
			if diff := cmp.Diff(shared.recorded(t, status), shared.asListed(t, got)); diff != "" {
				t.Errorf("exports that are %s (-want +got):\n%s", status, diff)
			}
		}
	})
	t.Run("new ones between pages", func(t *testing.T) {
		got := shared.walk(t, url.Values{"pageSize": {"37"}}, 37, func(page int) {
			if page <= 3 {
				shared.createMany(t, 2)
			}
		})
		if diff := cmp.Diff(want, shared.asListed(t, got)); diff != "" {
			t.Errorf("exports, of those that were there (-want +got):\n%s", diff)
		}
		if now := shared.recorded(t, ""); len(now) != len(want)+6 || !slices.Equal(now[:6], shared.asListed(t, shared.walk(t, url.Values{}, 20, nil))[:6]) {
			t.Errorf("%d exports, want 6 more than %d, and the new ones on the first page", len(now), len(want))
		}
	})
	checkBadLists(t)
}

// checkListed compares a page with the statuses of its exports.
func checkListed(t *testing.T) {
	var p page
	shared.get(t, "/exports?pageSize=50").decode(t, http.StatusOK, "application/json", &p)
	for _, e := range p.Exports {
		var s status
		if err := json.Unmarshal(e, &s); err != nil {
			t.Fatal(err)
		}
		var one status
		shared.get(t, "/exports/"+s.ExportID+"/status").decode(t, http.StatusOK, "application/json", &one)
		if diff := cmp.Diff(one, s); diff != "" {
			t.Errorf("in the list (-status +list):\n%s", diff)
		}
	}
}

// checkBadLists asks for pages that there can't be.
func checkBadLists(t *testing.T) {
	_, token := shared.list(t, url.Values{"pageSize": {"2"}})
	_, ofStatus := shared.list(t, url.Values{"pageSize": {"2"}, "status": {"completed"}})
	for _, tt := range []struct {
		name, query string
		fields      []string
	}{
		{"page size 0", "pageSize=0", []string{"pageSize"}},
		{"page size -1", "pageSize=-1", []string{"pageSize"}},
		{"page size 101", "pageSize=101", []string{"pageSize"}},
		{"page size x", "pageSize=x", []string{"pageSize"}},
		{"page size 1.5", "pageSize=1.5", []string{"pageSize"}},
		{"page size in 40 digits", "pageSize=" + strings.Repeat("1", 40), []string{"pageSize"}},
		{"no page size", "pageSize=", []string{"pageSize"}},
		{"page size twice", "pageSize=5&pageSize=5", []string{"pageSize"}},
		{"page token of garbage", "pageToken=garbage", []string{"pageToken"}},
		{"page token cut short", "pageToken=" + url.QueryEscape(token[:len(token)-3]), []string{"pageToken"}},
		{"page token changed", "pageToken=" + url.QueryEscape(otherDigit(token[0])+token[1:]), []string{"pageToken"}},
		{"page token and more", "pageToken=" + url.QueryEscape(token+"AAAA"), []string{"pageToken"}},
		{"page token of another status", "status=failed&pageToken=" + url.QueryEscape(ofStatus), []string{"pageToken"}},
		{"page token of a status without it", "pageToken=" + url.QueryEscape(ofStatus), []string{"pageToken"}},
		{"page token of SQL", "pageToken=" + url.QueryEscape(hostile), []string{"pageToken"}},
		{"page token twice", "pageToken=" + url.QueryEscape(token) + "&pageToken=" + url.QueryEscape(token), []string{"pageToken"}},
		{"no page token", "pageToken=", []string{"pageToken"}},
		{"unknown status", "status=done", []string{"status"}},
		{"status in capitals", "status=Completed", []string{"status"}},
		{"no status", "status=", []string{"status"}},
		{"status of SQL", "status=" + url.QueryEscape(hostile), []string{"status"}},
		{"status twice", "status=failed&status=completed", []string{"status"}},
		{"unknown parameter", "limit=5", []string{"limit"}},
		{"parameter in small letters", "pagesize=5", []string{"pagesize"}},
		{"owner as a parameter", "owner=somebody", []string{"owner"}},
		{"SQL as a parameter", url.QueryEscape(hostile) + "=1", []string{hostile}},
		{"everything wrong at once", "pageSize=0&pageToken=x&status=y", []string{"pageSize", "pageToken", "status"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := shared.get(t, "/exports?"+tt.query)
			if diff := cmp.Diff(tt.fields, checkProblem(t, a, http.StatusBadRequest, "invalid_request")); diff != "" {
				t.Errorf("fields that errors name (-want +got):\n%s", diff)
			}
		})
	}
}
