package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// victim is a completed export, and what must not change of it.
type victim struct {
	owner  *local
	id     string
	items  map[string]map[string]any
	status status
	rows   []byte
}

func newVictim(t *testing.T, owner *local) victim {
	t.Helper()
	v := victim{owner: owner, status: owner.follow(t, owner.create(t).ExportID, time.Minute, nil)}
	v.id = v.status.ExportID
	v.items, v.rows = owner.items(t, "export#"+v.id), owner.download(t, v.id)
	return v
}

// checkUnchanged compares the export with what it was.
func (v victim) checkUnchanged(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(v.items, v.owner.items(t, "export#"+v.id)); diff != "" {
		t.Errorf("the victim's record changed (-before +after):\n%s", diff)
	}
	now := decodeStatus(t, v.owner.get(t, "/exports/"+v.id+"/status"), http.StatusOK)
	if diff := cmp.Diff(v.status, now); diff != "" {
		t.Errorf("the victim's status changed (-before +after):\n%s", diff)
	}
	if !cmp.Equal(v.rows, v.owner.download(t, v.id)) {
		t.Error("the victim's file changed")
	}
}

var requestID = regexp.MustCompile(`"requestId":"[^"]*"`)

// comparable is an answer without what differs from request to request.
func (a answer) comparable() answer {
	h := a.header.Clone()
	for _, name := range []string{"Date", "X-Amzn-Requestid"} {
		h.Del(name)
	}
	return answer{a.status, h, requestID.ReplaceAll(a.body, nil)}
}

// Nobody can do anything with another owner's export, or tell it from one that
// doesn't exist.
func TestOwners(t *testing.T) {
	g := newGuarded(t)
	g.seed(t, smallRows)
	anna, bert := g.as(t, "anna", nil), g.as(t, "bert", nil)
	v := newVictim(t, anna)
	if got := v.items["job"]["owner"]; got != g.issuer.owner("anna") {
		t.Errorf("owner %v, want the hash of issuer and subject, %s", got, g.issuer.owner("anna"))
	}
	annasOwner := g.issuer.owner("anna")
	smuggle := []string{
		"X-Owner: " + annasOwner, "Owner: " + annasOwner, "X-Amzn-Owner: " + annasOwner, "X-Amzn-Authorizer-Owner: " + annasOwner,
		"X-Amzn-Request-Context: {\"authorizer\":{\"owner\":\"" + annasOwner + "\"}}", "X-Subject: anna", "X-Forwarded-User: anna",
	}
	for _, test := range []struct {
		name, method, path string // with ID in it
		headers            []string
	}{
		{"status", "GET", "/exports/ID/status", nil},
		{"download", "GET", "/exports/ID/download", nil},
		{"download as JSON", "GET", "/exports/ID/download", []string{"Accept: application/json"}},
		{"HEAD", "HEAD", "/exports/ID/download", nil},
		{"delete", "DELETE", "/exports/ID", nil},
		{"retry", "POST", "/exports/ID/retry", nil},
		{"retry with an owner in headers", "POST", "/exports/ID/retry", append(smuggle, "Idempotency-Key: k")},
		{"status with an owner in headers", "GET", "/exports/ID/status", smuggle},
		{"download with an owner in headers", "GET", "/exports/ID/download", smuggle},
		{"delete with an owner in headers", "DELETE", "/exports/ID", smuggle},
		{"status with an owner in the query", "GET", "/exports/ID/status?owner=" + annasOwner, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			theirs := bert.request(t, test.method, strings.Replace(test.path, "ID", v.id, 1), "", test.headers...)
			unknown := bert.request(t, test.method, strings.Replace(test.path, "ID", unknownID, 1), "", test.headers...)
			if test.method != http.MethodHead {
				checkProblem(t, theirs, http.StatusNotFound, "not_found")
			}
			if diff := cmp.Diff(unknown.comparable(), theirs.comparable(), cmp.AllowUnexported(answer{})); diff != "" || theirs.status != http.StatusNotFound {
				t.Errorf("status %d, want 404, and the same as for an unknown id (-unknown +stranger's):\n%s", theirs.status, diff)
			}
			v.checkUnchanged(t)
		})
	}
	t.Run("list", func(t *testing.T) { checkStrangersList(t, anna, bert, smuggle); v.checkUnchanged(t) })
	t.Run("presigned URL for another key", func(t *testing.T) { checkOtherKey(t, anna, bert, v); v.checkUnchanged(t) })
	t.Run("idempotency key", func(t *testing.T) { checkOthersKey(t, g, anna, bert); v.checkUnchanged(t) })
	t.Run("body", func(t *testing.T) {
		a := bert.request(t, http.MethodPost, "/exports/csv", `{"owner":"`+annasOwner+`"}`)
		checkProblem(t, a, http.StatusBadRequest, "invalid_request")
	})
	t.Run("audit", func(t *testing.T) { checkAudit(t, g, v) })
}

// checkStrangersList looks for anna's exports in bert's list, and goes on in
// hers with his token.
func checkStrangersList(t *testing.T, anna, bert *local, smuggle []string) {
	var p page
	bert.get(t, "/exports", smuggle...).decode(t, http.StatusOK, "application/json", &p)
	if len(p.Exports) != 0 {
		t.Errorf("bert, who made none, sees %d exports", len(p.Exports))
	}
	anna.follow(t, anna.create(t).ExportID, time.Minute, nil)
	ids, token := anna.list(t, url.Values{"pageSize": {"1"}})
	if len(ids) != 1 || token == "" {
		t.Fatalf("anna's page has %d exports and the token %q", len(ids), token)
	}
	checkProblem(t, bert.get(t, "/exports?pageSize=1&pageToken="+url.QueryEscape(token)), http.StatusForbidden, "forbidden")
	if more, _ := anna.list(t, url.Values{"pageSize": {"1"}, "pageToken": {token}}); len(more) != 1 {
		t.Errorf("anna's next page has %d exports", len(more))
	}
}

// checkOthersKey tries to come to anna's export by a key that she used, or one
// that is built to be the same as hers together with an owner.
func checkOthersKey(t *testing.T, g guarded, anna, bert *local) {
	const key = "annas-key"
	hers := decodeStatus(t, anna.request(t, http.MethodPost, "/exports/csv", "{}", "Idempotency-Key: "+key), http.StatusAccepted)
	for _, tried := range []string{key, g.issuer.owner("anna") + key, "64:" + g.issuer.owner("anna") + key, g.issuer.owner("bert") + key} {
		s := decodeStatus(t, bert.request(t, http.MethodPost, "/exports/csv", "{}", "Idempotency-Key: "+tried), http.StatusAccepted)
		if s.ExportID == hers.ExportID {
			t.Errorf("bert's key %s leads to anna's export", tried)
		}
		checkProblem(t, anna.get(t, "/exports/"+s.ExportID+"/status"), http.StatusNotFound, "not_found")
		bert.follow(t, s.ExportID, time.Minute, nil)
	}
	// What bert asks for under his key doesn't get in anna's way.
	again := decodeStatus(t, anna.request(t, http.MethodPost, "/exports/csv", "{}", "Idempotency-Key: "+key), http.StatusAccepted)
	if again.ExportID != hers.ExportID {
		t.Errorf("anna's key leads to %s, was %s", again.ExportID, hers.ExportID)
	}
	anna.follow(t, hers.ExportID, time.Minute, nil)
}

// checkOtherKey asks S3 for anna's file by a URL that was signed for bert's.
func checkOtherKey(t *testing.T, anna, bert *local, v victim) {
	place := func(l *local, id string) *url.URL {
		u, err := url.Parse(l.get(t, "/exports/"+id+"/download").header.Get("Location"))
		if err != nil || u.Path == "" {
			t.Fatalf("no place of a file: %v (%v)", u, err)
		}
		return u
	}
	own := bert.follow(t, bert.create(t).ExportID, time.Minute, nil)
	if !strings.Contains(string(bert.download(t, own.ExportID)), "\n") {
		t.Error("bert's own file is empty")
	}
	forged := place(bert, own.ExportID)
	forged.Path = place(anna, v.id).Path
	if a := bert.get(t, forged.String()); a.status != http.StatusForbidden {
		t.Errorf("S3 answers %d to a URL for another key", a.status)
	}
}

// checkAudit looks for the lines that tell who did what, and for tokens that
// nobody should find in a log.
func checkAudit(t *testing.T, g guarded, v victim) {
	want := map[string]bool{
		"create ok anna": false, "download ok anna": false, "download not_found bert": false, "delete not_found bert": false,
	}
	for _, function := range []string{"create-export", "download-export", "delete-export", "get-export", "list-exports", "authorize"} {
		for _, line := range g.logs(t, function) {
			if strings.Contains(string(line), "Bearer") || strings.Contains(string(line), "eyJ") {
				t.Errorf("%s logs a token: %s", function, line)
			}
			var entry struct{ Msg, Action, Outcome, Dataset, Owner, Subject, ExportID, RequestID, SourceIP string }
			if json.Unmarshal(line, &entry) != nil || entry.Msg != "audit" || entry.ExportID != v.id {
				continue
			}
			if entry.Owner != g.issuer.owner(entry.Subject) || entry.RequestID == "" || entry.SourceIP != "127.0.0.1" || (entry.Outcome == "ok") != (entry.Dataset == "users") {
				t.Errorf("audit line %s", line)
			}
			want[entry.Action+" "+entry.Outcome+" "+entry.Subject] = true
		}
	}
	for line, found := range want {
		if !found {
			t.Errorf("no audit line of %q", line)
		}
	}
}
