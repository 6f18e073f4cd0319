package dynamodblocal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"csvexport/infra/internal/dynamodblocal"
)

// Whoever lacks a program is told which, and what to install; whatever fails is
// not taken for an installation.
func TestEnsure_lacking(t *testing.T) {
	for _, tt := range []struct {
		name    string
		scripts map[string]string
		want    string
	}{
		{"nothing", nil, "no java on PATH: DynamoDB Local needs a JDK of at least 17 and Maven"},
		{"no Maven", map[string]string{"java": "", "javac": ""}, "no mvn on PATH: DynamoDB Local needs"},
		{"no compiler", map[string]string{"java": "", "mvn": ""}, "no javac on PATH: DynamoDB Local needs"},
		{"Maven fails", map[string]string{"java": "", "javac": "", "mvn": "echo no such package; exit 1"}, "mvn: exit status 1: no such package"},
		{"the compiler fails", map[string]string{"java": "", "mvn": "", "javac": "echo what is this; exit 2"}, "javac: exit status 2: what is this"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, bin := filepath.Join(t.TempDir(), "dynamodb"), t.TempDir()
			for name, script := range tt.scripts {
				if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			for range 2 { // a failure isn't an installation
				_, err := dynamodblocal.Ensure(t.Context(), dir, "../../dynamodb", &bytes.Buffer{})
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %s", err, tt.want)
				}
			}
		})
	}
}

// An installation is made once, and again when what it is made of has changed.
func TestEnsure(t *testing.T) {
	source, bin, dir := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "dynamodb")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	calls := filepath.Join(t.TempDir(), "calls")
	for _, program := range []string{"java", "javac", "mvn"} {
		write(filepath.Join(bin, program), "#!/bin/sh\necho "+program+" >> '"+calls+"'\n")
	}
	t.Setenv("PATH", bin)
	write(filepath.Join(source, "pom.xml"), "<project/>")
	write(filepath.Join(source, "Loopback.java"), "class Loopback {}")
	ensure := func(want string) {
		t.Helper()
		var out bytes.Buffer
		install, err := dynamodblocal.Ensure(t.Context(), dir, source, &out)
		if err != nil || install.Java != filepath.Join(bin, "java") {
			t.Fatalf("%+v, error %v", install, err)
		}
		got, err := os.ReadFile(calls)
		if err != nil || string(got) != want || (out.Len() > 0) == (want == "") {
			t.Errorf("calls %q, says %q (%v); want calls %q", got, out.String(), err, want)
		}
		write(calls, "")
	}
	ensure("mvn\njavac\n")
	ensure("")
	write(filepath.Join(source, "pom.xml"), "<project><modelVersion/></project>")
	ensure("mvn\njavac\n")
	write(filepath.Join(source, "Loopback.java"), "class Loopback { }")
	ensure("mvn\njavac\n")
}
