package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// example is a command of the README, and what the README says that it prints.
type example struct {
	line    int
	command string
	output  string
}

// examples returns the commands of the README's blocks in a language: a line
// that begins with "$ ", and the lines up to the next one as its output.
func examples(text, language string) []example {
	var all []example
	inBlock, hasCommand := false, false
	for i, line := range strings.Split(text, "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inBlock, hasCommand = line == "```"+language, false
		case inBlock && isCommand:
			all = append(all, example{line: i + 1, command: command})
			hasCommand = true
		case hasCommand:
			all[len(all)-1].output += line + "\n"
		}
	}
	return all
}

// TestReadme runs the curl lines of the README's sh blocks one after the other in one shell, as
// a reader would. In the output that the README shows, … stands for anything. A
// command that only asks may be repeated until the export is as far.
func TestReadme(t *testing.T) {
	shared.seed(t, smallRows)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	sh := startShell(t, t.TempDir(), shared.BaseURL)
	ran := 0
	for _, e := range examples(string(text), "sh") {
		if strings.HasPrefix(e.command, "make ") {
			continue // TestDemo and the lifecycle tests run these
		}
		ran++
		asks := !regexp.MustCompile(`(-X|--request|-d|--data)\b`).MatchString(e.command)
		want := wildcard(e.output)
		var got string
		deadline := time.Now().Add(30 * time.Second)
		for got = sh.run(t, e.command); !want.MatchString(got) && asks && time.Now().Before(deadline); got = sh.run(t, e.command) {
			time.Sleep(200 * time.Millisecond) // the pace of a reader who repeats a command
		}
		if !want.MatchString(got) {
			t.Fatalf("README.md:%d: %s\nprints\n%s\nbut the README says\n%s", e.line, e.command, got, e.output)
		}
	}
	if ran < 4 {
		t.Errorf("the README has %d curl lines in ```sh blocks, want at least create, status, download and health", ran)
	}
}

func wildcard(output string) *regexp.Regexp {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(output)), "…", "(?s:.*?)")
	return regexp.MustCompile(`^\s*` + quoted + `\s*$`)
}

// shell is a shell that keeps its variables from one command to the next.
type shell struct {
	in      io.Writer
	out     *bufio.Reader
	baseURL string // what http://127.0.0.1:8080 stands for
}

func startShell(t *testing.T, dir, baseURL string) *shell {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash")
	cmd.Dir, cmd.Env = dir, append(environment(), "LC_ALL=C.UTF-8")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("bash: %v", err)
		}
	})
	return &shell{in, bufio.NewReader(out), baseURL}
}

const endOfOutput = "--- end of output, status "

// run runs a command, on the shell's stack, and returns what it printed.
func (s *shell) run(t *testing.T, command string) string {
	t.Helper()
	command = strings.ReplaceAll(command, "http://127.0.0.1:8080", s.baseURL)
	if _, err := fmt.Fprintf(s.in, "%s\nprintf '\\n%s%%s\\n' $?\n", command, endOfOutput); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: the shell ended: %v\n%s", command, err, text.String())
		}
		if status, ok := strings.CutPrefix(line, endOfOutput); ok {
			if status != "0\n" {
				t.Fatalf("%s: status %s%s", command, status, text.String())
			}
			return strings.ReplaceAll(text.String(), s.baseURL, "http://127.0.0.1:8080")
		}
		text.WriteString(line)
	}
}
