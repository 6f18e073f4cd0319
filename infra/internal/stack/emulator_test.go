package stack_test

import (
	"strings"
	"testing"

	"csvexport/infra/internal/stack"
)

func TestParseEmulator(t *testing.T) {
	for text, want := range map[string]stack.Emulator{
		"": "local", "local": "local", "localstack": "localstack",
		"http://127.0.0.1:4566": "http://127.0.0.1:4566", "http://172.17.0.1:4566/": "http://172.17.0.1:4566",
	} {
		got, err := stack.ParseEmulator(text)
		if err != nil || got != want || got.Running() != strings.HasPrefix(text, "http") {
			t.Errorf("%q is %q, running %v (%v), want %q", text, got, got.Running(), err, want)
		}
	}
	for _, text := range []string{"LocalStack", "ministack", "127.0.0.1:4566", "http://127.0.0.1", "https://127.0.0.1:4566", "http://127.0.0.1:4566/path", "http://u:p@127.0.0.1:4566"} {
		_, err := stack.ParseEmulator(text)
		if err == nil || !strings.Contains(err.Error(), "local, localstack, or the URL") {
			t.Errorf("%q: error %v, want one that names the emulators", text, err)
		}
	}
}
