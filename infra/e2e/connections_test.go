package e2e

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A database that allows fewer connections than the exports may need: deep
// health says so, run-export warns, and exports are made all the same.
func TestConnections_tooFew(t *testing.T) {
	shared.seed(t, 1000)
	shared.psql(t, "CREATE ROLE tight LOGIN PASSWORD 'x' CONNECTION LIMIT 5 IN ROLE pg_read_all_data")
	defer func() { shared.psql(t, "DROP ROLE tight") }()
	u, err := url.Parse(shared.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("tight", "x")
	s, err := up(stackName("tight"), "-ephemeral", "-port", "0", "-database-url", u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()

	var bad deepHealth
	a := s.get(t, "/health?deep=true")
	a.decode(t, http.StatusServiceUnavailable, "application/problem+json", &bad)
	if diff := cmp.Diff([]string{"connections is down"}, bad.down(t)); diff != "" || bad.Code != "unavailable" {
		t.Errorf("code %s; down (-want +got):\n%s", bad.Code, diff)
	}
	for _, want := range []string{"may need 12 connections", "allows the service 5", "MaximumConcurrency or ExportConnections", "role's CONNECTION LIMIT"} {
		if message := bad.Checks["connections"].Message; !strings.Contains(message, want) {
			t.Errorf("the message %q doesn't say %q", message, want)
		}
	}
	if a := s.get(t, "/health"); a.status != http.StatusOK {
		t.Errorf("shallow health answers %d", a.status)
	}
	if done := s.follow(t, s.create(t).ExportID, time.Minute, nil); done.Status != "completed" || done.Progress.ProcessedRows != 1000 {
		t.Errorf("the export is %+v", done)
	}
	var warnings []string
	for _, line := range s.logs(t, "run-export") {
		if bytes.Contains(line, []byte(`"too few connections"`)) {
			warnings = append(warnings, string(line))
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], `"level":"WARN"`) || !strings.Contains(warnings[0], `"needed":12`) {
		t.Errorf("run-export warned %q", warnings)
	}
}
