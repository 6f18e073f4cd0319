package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
)

// badInput is a request that must be refused.
type badInput struct {
	name, method, path, body string
	headers                  []string
	status                   int
	code                     string
	fields                   []string // that errors must name, in order; the whole body is ""
}

// state is what a refused request must leave as it is.
type state struct {
	users       string // sum over all rows, and the tables there are
	items       map[string]map[string]any
	queue       map[string]string // message counts
	invocations int               // of run-export
}

// TestBadInput sends what no well-behaved client would send. Every answer is a
// problem document that names what is wrong, and nothing happens.
func TestBadInput(t *testing.T) {
	shared.seed(t, smallRows)
	known := shared.follow(t, shared.create(t).ExportID, time.Minute, nil).ExportID
	before := shared.state(t)
	if before.invocations == 0 {
		t.Fatal("the log of run-export doesn't tell of the export just made")
	}
	t.Run("refused", func(t *testing.T) { checkAllRefused(t, known) })
	after := shared.state(t)
	for _, then := range []struct{ name, diff string }{
		{"then the users are as before", cmp.Diff(before.users, after.users)},
		{"then the table is as before", cmp.Diff(before.items, after.items)},
		{"then no message waits", cmp.Diff(before.queue, after.queue)},
		{"then run-export was not invoked", cmp.Diff(before.invocations, after.invocations)},
	} {
		t.Run(then.name, func(t *testing.T) {
			if then.diff != "" {
				t.Errorf("(-before +after):\n%s", then.diff)
			}
		})
	}
	t.Run("then an export is right", func(t *testing.T) {
		done := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
		shared.checkFile(t, done)
	})
}

func checkAllRefused(t *testing.T, known string) {
	names := map[string]bool{}
	for _, tt := range slices.Concat(badJSON(), badFields(), badFilters(), badFormats(), badFileNames(), badSQL(), badBodies(), badIDs(known), badRoutes()) {
		if names[tt.name] {
			t.Errorf("two cases have the name %q", tt.name)
		}
		names[tt.name] = true
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // sam takes up to a second for an answer
			a := shared.request(t, tt.method, tt.path, tt.body, tt.headers...)
			if tt.method == http.MethodHead { // has no body
				if a.status != tt.status || a.header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("answer is %d %s, want %d and a problem", a.status, a.header.Get("Content-Type"), tt.status)
				}
				return
			}
			if diff := cmp.Diff(tt.fields, checkProblem(t, a, tt.status, tt.code)); diff != "" {
				t.Errorf("fields that errors name (-want +got):\n%s\n%s", diff, a.body)
			}
		})
	}
}

func (l *local) state(t *testing.T) state {
	t.Helper()
	const users = `SELECT md5(string_agg(u::text, E'\n' ORDER BY id)), count(*),
		(SELECT string_agg(oid::regclass::text, ' ' ORDER BY oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace) FROM users u`
	l.quiet(t)
	return state{
		users: string(l.psql(t, users)), items: l.allItems(t), queue: l.queueDepth(t), invocations: l.exports(t),
	}
}

// allItems returns every item of the table by its keys.
func (l *local) allItems(t *testing.T) map[string]map[string]any {
	t.Helper()
	items := map[string]map[string]any{}
	pages := dynamodb.NewScanPaginator(l.Endpoints.DynamoDBClient(), &dynamodb.ScanInput{TableName: &l.Table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			plain := plainMap(t, item)
			if plain["sk"] == "notice" { // as in items
				continue
			}
			items[plain["pk"].(string)+" "+plain["sk"].(string)] = plain
		}
	}
	return items
}

// Requests at the edge of what is refused, which are right.
func TestValidateOnly(t *testing.T) {
	shared.seed(t, smallRows)
	before := shared.state(t)
	for _, tt := range goodInput() {
		t.Run(tt.name, func(t *testing.T) {
			var valid map[string]bool
			a := shared.request(t, http.MethodPost, "/exports/csv", tt.body, tt.headers...)
			a.decode(t, http.StatusOK, "application/json", &valid)
			if diff := cmp.Diff(map[string]bool{"valid": true}, valid); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if after := shared.state(t); !cmp.Equal(before, after, cmp.AllowUnexported(state{})) {
		t.Errorf("a validation changed something, from %v to %v", before, after)
	}
}
