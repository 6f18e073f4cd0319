// Package functions_test looks at all functions together: what each of them
// builds, links and may reach.
package functions_test

import (
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// builds says which of the packages that hold a client each function's main
// builds, by hand. A client that isn't needed costs every cold start.
var builds = map[string][]string{
	"authorize":       nil,
	"create-export":   {"jobs", "queue", "s3file"},
	"delete-export":   {"bucket", "jobs", "queue"},
	"describe":        {"s3file"},
	"download-export": {"bucket", "jobs"},
	"estimate-export": {"database", "s3file"},
	"get-export":      {"jobs"},
	"health":          {"bucket", "database", "jobs", "queue"},
	"list-exports":    {"jobs"},
	"notify":          {"eventbus", "jobs", "queue", "secret"},
	"run-export":      {"bucket", "database", "jobs", "queue", "s3file"},
	"dead-letter":     {"queue", "wiring"},
	"sweep":           {"wiring"},
	"webhooks":        {"jobs"},
}

// goList returns what go list prints of a function, a line each.
func goList(t *testing.T, function string, flags ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append(append([]string{"list"}, flags...), "./"+function)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", function, err)
	}
	return strings.Fields(string(out))
}

func functions(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestBuilds(t *testing.T) {
	clients := []string{"bucket", "database", "eventbus", "jobs", "queue", "s3file", "secret", "wiring"}
	got := map[string][]string{}
	for _, name := range functions(t) {
		got[name] = nil
		for _, pkg := range goList(t, name, "-f", `{{join .Imports "\n"}}`) {
			if strings.HasPrefix(pkg, "csvexport/internal/") && slices.Contains(clients, path.Base(pkg)) {
				got[name] = append(got[name], path.Base(pkg))
			}
		}
	}
	if diff := cmp.Diff(builds, got); diff != "" {
		t.Errorf("the functions' mains build other clients than the table says; does each need all of its own? (-table +code):\n%s", diff)
	}
}

// inVPC says which functions template.yaml puts into the database's network, by
// the folder of their code.
func inVPC(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?m)^      CodeUri: functions/([a-z-]+)/$`)
	in := map[string]bool{}
	for _, resource := range regexp.MustCompile(`(?m)^  [A-Za-z]+:$`).Split(string(text), -1) {
		if m := code.FindStringSubmatch(resource); m != nil {
			in[m[1]] = strings.Contains(resource, "\n      VpcConfig: ")
		}
	}
	return in
}

// Only a function that links Postgres's driver sits in the VPC, where its way
// to AWS needs endpoints or NAT, and links the client of the database's secret.
func TestPostgres(t *testing.T) {
	in := inVPC(t)
	for _, name := range functions(t) {
		deps := goList(t, name, "-deps")
		links := slices.Contains(deps, "github.com/jackc/pgx/v5")
		if vpc, there := in[name]; !there || vpc != links {
			t.Errorf("%s: links pgx: %v; in template.yaml: %v, in the VPC there: %v", name, links, there, vpc)
		}
		// notify reads that of the webhooks.
		if secrets := slices.Contains(deps, "github.com/aws/aws-sdk-go-v2/service/secretsmanager"); secrets != (links || name == "notify") {
			t.Errorf("%s: links pgx: %v, but Secrets Manager's client: %v", name, links, secrets)
		}
		if events := slices.Contains(deps, "github.com/aws/aws-sdk-go-v2/service/eventbridge"); events != (name == "notify") {
			t.Errorf("%s: links EventBridge's client: %v", name, events)
		}
	}
	if len(in) != len(functions(t)) {
		t.Errorf("template.yaml has functions %v, the folder %v", in, functions(t))
	}
}
