package statemodel

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// found is a test that may fail without its caller doing so.
type found struct {
	*testing.T
	problem string
}

func (f *found) Errorf(format string, args ...any) {
	if f.problem == "" {
		f.problem = fmt.Sprintf(format, args...)
	}
}
func (f *found) Error(args ...any)                 { f.Errorf("%s", fmt.Sprint(args...)) }
func (f *found) Fatalf(format string, args ...any) { f.Errorf(format, args...) }
func (f *found) Fatal(args ...any)                 { f.Error(args...) }
func (f *found) Fail()                             { f.Errorf("failed") }
func (f *found) FailNow()                          { f.Fail() }
func (f *found) Failed() bool                      { return f.problem != "" }

// The model finds what it is there to find.
func TestModel_plantedBugs(t *testing.T) {
	setFlag(t, "rapid.nofailfile", "true")
	setFlag(t, "rapid.checks", "5000")
	setFlag(t, "rapid.seed", "4") // finds them soon; others take up to some thousand sequences
	setFlag(t, "rapid.shrinktime", "2s")
	for name, test := range map[string]struct {
		bug  plant
		says string
	}{
		"no fence condition": {func(w *world) {
			w.services.table.edit = func(condition, update string, _ map[string]value) (string, string) {
				return strings.Replace(condition, "fence = :fence", "attribute_exists(pk)", 1), update
			}
		}, "lost its claim"},
		"cancel without the fence": {func(w *world) {
			w.services.table.edit = func(condition, update string, _ map[string]value) (string, string) {
				if strings.HasSuffix(update, "REMOVE lease, worker") {
					update = strings.Replace(update, "fence = fence + :one, #ttl", "#ttl", 1) // Release's has no ttl
				}
				return condition, update
			}
		}, "lost its claim"},
		"an end without a notice": {func(w *world) { w.services.table.swallow = isNotice }, "will never be told"},
		"a sweep that doesn't look at notices": {func(w *world) {
			w.services.table.hide = isNotice
		}, "never told"},
		"a bus that says yes and takes nothing": {func(w *world) { w.services.busLies = true }, "will never be told"},
		"completed before HEAD":                 {func(w *world) { w.services.headLies = true }, "its object"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &found{T: t}
			rapid.Check(f, check(t, test.bug))
			if !strings.Contains(f.problem, test.says) {
				t.Fatalf("not found: %s", f.problem)
			}
			t.Log(strings.SplitN(f.problem, "\n", 2)[0])
		})
	}
}

func isNotice(item record) bool { return text(item["sk"]) == "notice" }

func setFlag(t *testing.T, name, to string) {
	t.Helper()
	was := flag.Lookup(name).Value.String()
	if err := flag.Set(name, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set(name, was); err != nil {
			t.Error(err)
		}
	})
}
