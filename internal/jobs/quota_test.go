package jobs_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/servertest"
)

const owner = "anonymous" // of the fixture's exports

// drift makes the owner's number of active exports another one, as a mistake
// would.
func (f fixture) drift(t *testing.T, n string) {
	t.Helper()
	if _, err := f.items.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &f.table,
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "owner#" + owner}, "sk": &types.AttributeValueMemberS{Value: "quota"},
		},
		UpdateExpression:          aws.String("SET active = :n"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: n}},
	}); err != nil {
		t.Fatal(err)
	}
}

func (f fixture) wantActive(t *testing.T, want float64) {
	t.Helper()
	if got := f.item(t, "owner#"+owner, "quota")["active"]; got != want {
		t.Errorf("active = %v, want %v", got, want)
	}
}

// interrupted is the store, but for its first query, before which something
// else happens.
func (f fixture) interrupted(t *testing.T, by func()) *jobs.Store {
	t.Helper()
	target, err := url.Parse(os.Getenv("TEST_DYNAMODB_URL"))
	if err != nil {
		t.Fatal(err)
	}
	through, once := httputil.NewSingleHostReverseProxy(target), sync.OnceFunc(by)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".Query") {
			once()
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return jobs.New(servertest.AWSAt(t, proxy.URL), f.table)
}

func (f fixture) dueOwners(t *testing.T, at time.Time) []string {
	t.Helper()
	due, err := f.Due(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return due.Owners
}

// A number of active exports that has drifted is what it should be within an
// hour, once the owner's exports have stood still.
func TestStore_Reconcile(t *testing.T) {
	f := newFixture(t)
	f.create(t)
	ended := f.create(t)
	if err := f.Cancel(t.Context(), ended, now, time.Hour); err != nil {
		t.Fatal(err)
	}
	f.drift(t, "20")
	if got := f.dueOwners(t, now.Add(59*time.Minute)); len(got) != 0 {
		t.Errorf("due before an hour: %v", got)
	}
	later := now.Add(time.Hour)
	if diff := cmp.Diff([]string{owner}, f.dueOwners(t, later)); diff != "" {
		t.Fatalf("owners due (-want +got):\n%s", diff)
	}
	if drift, err := f.Reconcile(t.Context(), owner, later); err != nil || drift != 19 {
		t.Errorf("drift %d (%v), want 19", drift, err)
	}
	f.wantActive(t, 1)
	if got := f.dueOwners(t, later); len(got) != 0 {
		t.Errorf("still due: %v", got)
	}
	if drift, err := f.Reconcile(t.Context(), owner, later.Add(time.Hour)); err != nil || drift != 0 {
		t.Errorf("again: drift %d (%v)", drift, err)
	}
}

// While exports come and go nothing is counted: the index may be behind.
func TestStore_Reconcile_busy(t *testing.T) {
	f := newFixture(t)
	f.create(t)
	f.drift(t, "0")
	soon := now.Add(time.Minute)
	if drift, err := f.Reconcile(t.Context(), owner, soon); err != nil || drift != 0 {
		t.Errorf("drift %d (%v)", drift, err)
	}
	f.wantActive(t, 0)
	if got := f.dueOwners(t, now.Add(11*time.Minute)); len(got) != 1 {
		t.Errorf("due owners %v, want another look", got)
	}
}

// An owner without exports isn't looked at any more, until there is one.
func TestStore_Reconcile_idle(t *testing.T) {
	f := newFixture(t)
	e := f.create(t)
	if err := f.Cancel(t.Context(), e, now, time.Hour); err != nil {
		t.Fatal(err)
	}
	later := now.Add(time.Hour)
	if _, err := f.Reconcile(t.Context(), owner, later); err != nil {
		t.Fatal(err)
	}
	if got := f.dueOwners(t, later.Add(24*time.Hour)); len(got) != 0 {
		t.Errorf("due: %v", got)
	}
	f.create(t)
	if got := f.dueOwners(t, later.Add(24*time.Hour)); len(got) != 1 {
		t.Errorf("due owners %v, want one", got)
	}
}

// An export's end between the count and the write keeps the write from being done.
func TestStore_Reconcile_meanwhile(t *testing.T) {
	f := newFixture(t)
	e := f.create(t)
	later := now.Add(time.Hour)
	store := f.interrupted(t, func() {
		if err := f.Cancel(t.Context(), e, later, time.Hour); err != nil {
			t.Error(err)
		}
	})
	if _, err := store.Reconcile(t.Context(), owner, later); export.CodeOf(err) != export.Conflict {
		t.Errorf("error %v, want a conflict", err)
	}
	f.wantActive(t, 0)
}
