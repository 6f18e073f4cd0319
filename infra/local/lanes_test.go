package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a lane leaves out is there, and has a reason: a test that has another
// name now would run again without anybody's knowing why it didn't.
func TestLanes(t *testing.T) {
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of tests (%v)", len(files), err)
	}
	var tests []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(text), -1) {
			tests = append(tests, m[1])
		}
	}
	for lane, list := range lanes {
		for _, e := range list {
			test, _, _ := strings.Cut(e.Test, "/")
			pattern, found := regexp.MustCompile(test), false
			for _, name := range tests {
				found = found || pattern.MatchString(name)
			}
			if !found || e.Reason == "" || !strings.HasPrefix(test, "^Test") || !strings.HasSuffix(test, "$") {
				t.Errorf("lane %s leaves out %s: no such test, no reason, or a pattern that isn't anchored", lane, e.Test)
			}
		}
	}
}

func TestSkip(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"skip", "local"}, os.Getenv, &out, &out); code != 0 || out.String() != "^TestRunningEmulator$\n" {
		t.Errorf("status %d, prints %q", code, out.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"skip", "nowhere"}, os.Getenv, &out, &out); code != 1 || !strings.Contains(out.String(), "local, localstack, sam") {
		t.Errorf("status %d, prints %q", code, out.String())
	}
}
