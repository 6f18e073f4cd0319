package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPolicies(t *testing.T) {
	folder := t.TempDir()
	if code, _, stderr := call(t.Context(), "policies"); code != 1 || !strings.Contains(stderr, "policies: no folder") {
		t.Errorf("without a folder: status %d, says %q", code, stderr)
	}
	if code, _, stderr := call(t.Context(), "policies", folder); code != 1 || !strings.Contains(stderr, "policies: no recordings in "+folder) {
		t.Errorf("without recordings: status %d, says %q", code, stderr)
	}
	recording := `{"stack":"s","parameters":{"EventBusName":"default"}}
{"function":"notify","action":"events:PutEvents","resource":"arn:aws:events:us-east-1:000000000000:event-bus/default","keys":{"events:source":["csvexport"]}}
`
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "s-1.calls"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(recording)
	if code, stdout, stderr := call(t.Context(), "policies", "-part", folder); code != 0 || !strings.Contains(stdout, "1 used,") || !strings.Contains(stdout, " 0 problems\n") {
		t.Errorf("a part of the calls: status %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := call(t.Context(), "policies", folder); code != 1 || !strings.Contains(stdout, "policies: run-export is given s3:PutObject on ${Bucket.Arn}/exports/*") {
		t.Errorf("a part taken for the whole: status %d\n%s", code, stdout)
	}
	write(strings.Replace(recording, "csvexport", "other", 1))
	if code, stdout, _ := call(t.Context(), "policies", "-part", folder); code != 1 || !strings.Contains(stdout, "policies: notify calls events:PutEvents, which its policy does not allow") {
		t.Errorf("a call too many: status %d\n%s", code, stdout)
	}
}
