package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// workflow is what of the GitHub workflow is checked here; actionlint, by make
// lint, checks the rest.
type workflow struct {
	Permissions map[string]string
	Concurrency struct{ Group string }
	Jobs        map[string]struct {
		Timeout  int `yaml:"timeout-minutes"`
		Strategy struct {
			Matrix struct {
				Include []struct{ Lane, Targets string }
			}
		}
		Steps []struct{ Uses string }
	}
}

// rule is one of the Makefile.
type rule struct {
	needs  []string
	recipe bool
}

func makefile(t *testing.T, text string) map[string]rule {
	t.Helper()
	rules := map[string]rule{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):([^=#\n]*)(?: *##.*)?\n(\t)?`).FindAllStringSubmatch(text, -1) {
		rules[m[1]] = rule{needs: strings.Fields(m[2]), recipe: m[3] != ""}
	}
	if len(rules) < 10 {
		t.Fatalf("the Makefile has the rules %v only", rules)
	}
	return rules
}

// What GitHub runs is what make verify runs: no step of it is missing, and none
// is misspelled.
func TestWorkflow(t *testing.T) {
	text, err := os.ReadFile("../../.github/workflows/verify.yml")
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	rules := makefile(t, string(text))
	var targets []string
	for name, job := range w.Jobs {
		if job.Timeout == 0 || job.Timeout > 45 {
			t.Errorf("the job %s may take %d minutes, want at most 45", name, job.Timeout)
		}
		for _, lane := range job.Strategy.Matrix.Include {
			targets = append(targets, strings.Fields(lane.Targets)...)
		}
	}
	for _, target := range targets {
		if _, there := rules[target]; !there {
			t.Errorf("the workflow runs make %s, which the Makefile doesn't have", target)
		}
	}
	var covered func(string) bool
	covered = func(step string) bool {
		r := rules[step]
		missing := func(s string) bool { return !covered(s) }
		return slices.Contains(targets, step) || !r.recipe && len(r.needs) > 0 && !slices.ContainsFunc(r.needs, missing)
	}
	verify := regexp.MustCompile(`(?m)^STEPS \?= (.+)$`).FindSubmatch(text)
	if verify == nil {
		t.Fatal("the Makefile has no list of verify's steps")
	}
	for step := range strings.FieldsSeq(strings.ReplaceAll(string(verify[1]), "+", " ")) {
		if !covered(step) {
			t.Errorf("the workflow doesn't run make %s, which verify does", step)
		}
	}
}

// The workflow can't write to the repository, and runs the actions that were
// read: a tag can be moved.
func TestWorkflow_rights(t *testing.T) {
	text, err := os.ReadFile("../../.github/workflows/verify.yml")
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" || w.Concurrency.Group == "" {
		t.Errorf("permissions %v, concurrency %q", w.Permissions, w.Concurrency.Group)
	}
	uses := regexp.MustCompile(`(?m)uses: (.+)$`).FindAllSubmatch(text, -1)
	for _, m := range uses {
		if !regexp.MustCompile(`^actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`).Match(m[1]) {
			t.Errorf("%s isn't pinned by its commit, with its version beside", m[1])
		}
	}
	if len(uses) < 3 {
		t.Errorf("%d actions", len(uses))
	}
}
