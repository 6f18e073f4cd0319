package vulncheck

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const config = `{"config": {"scan_level": "symbol"}}`

func TestRead(t *testing.T) {
	got, err := read(strings.NewReader(config + `
		{"osv": {"id": "GO-1"}}
		{"finding": {"osv": "GO-1", "fixed_version": "v1.2.0", "trace": [{"module": "m.example/a", "version": "v1.1.0"}]}}
		{"finding": {"osv": "GO-1", "fixed_version": "v1.2.0", "trace": [{"module": "m.example/a", "version": "v1.1.0", "package": "m.example/a/p"}]}}
		{"finding": {"osv": "GO-1", "fixed_version": "v1.2.0", "trace": [{"module": "m.example/a", "version": "v1.1.0", "package": "m.example/a/p", "function": "Parse"},
			{"module": "ours", "package": "ours/x", "function": "Read", "receiver": "*File"}]}}
		{"finding": {"osv": "GO-1", "fixed_version": "v1.2.0", "trace": [{"module": "m.example/a", "version": "v1.1.0", "package": "m.example/a/p", "function": "Other"},
			{"module": "ours", "package": "ours/x", "function": "Write"}]}}
		{"finding": {"osv": "GO-2", "trace": [{"module": "m.example/b", "version": "v0.1.0"}]}}
		{"finding": {"osv": "GO-3", "trace": [{"module": "stdlib", "version": "v1.26.8", "package": "net/http", "function": "Get"}, {"package": "ours/y", "function": "main"}]}}`))
	want := []Vulnerability{
		{ID: "GO-1", Module: "m.example/a", Version: "v1.1.0", Fixed: "v1.2.0", Call: "ours/x: *File.Read"},
		{ID: "GO-3", Module: "stdlib", Version: "v1.26.8", Call: "ours/y: main"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, vulnerabilities (-want +got):\n%s", err, diff)
	}
}

// Records that tell of no scan aren't a good result.
func TestRead_nothing(t *testing.T) {
	for _, records := range []string{"", `{"progress": {"message": "fetching"}}`, `{"config": {"scan_level": "module"}}`} {
		if _, err := read(strings.NewReader(records)); !errors.Is(err, ErrNotChecked) {
			t.Errorf("read(%q): error %v, want ErrNotChecked", records, err)
		}
	}
	if _, err := read(strings.NewReader(config + `{"finding": `)); err == nil {
		t.Error("records cut short are taken for whole ones")
	}
}

func TestTell(t *testing.T) {
	for _, test := range []struct {
		module string
		found  bool
		want   string
	}{
		{"m.example/a", true, "app: GO-1: m.example/a@v1.26.8, fixed in v1.2.0; reached from main"},
		{"stdlib", false, "app: GO-1: warning: Go 1.26.8 itself, fixed in v1.2.0; reached from main"},
	} {
		var out strings.Builder
		found := tell(&out, "app", []Vulnerability{{ID: "GO-1", Module: test.module, Version: "v1.26.8", Fixed: "v1.2.0", Call: "main"}})
		if found != test.found || !strings.Contains(out.String(), test.want) || !strings.Contains(out.String(), "1 found") {
			t.Errorf("%s: found %v, report:\n%s", test.module, found, out.String())
		}
	}
}
