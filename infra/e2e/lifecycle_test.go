package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"csvexport/infra/internal/process"
	"csvexport/infra/internal/stack"
)

// member is one process of a stack.
type member struct {
	pid      int
	identity string
	command  string
}

// members lists the processes of a stack: the program and all that descend
// from it.
func (l *local) members(t *testing.T) []member {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pid=,ppid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	family := []int{l.PID}
	commands := map[int]string{}
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		if _, err := fmt.Sscan(line, &pid, &parent); err != nil {
			t.Fatalf("ps: %q: %v", line, err)
		}
		commands[pid] = strings.Join(strings.Fields(line)[2:], " ")
		children[parent] = append(children[parent], pid)
	}
	var all []member
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
		identity, err := process.Identity(family[i])
		if err == nil { // it may have ended since
			all = append(all, member{family[i], identity, commands[family[i]]})
		}
	}
	return all
}

// checkEnded asserts that every process of a stack has ended, and that no
// process mentions the stack.
func checkEnded(t *testing.T, name string, members []member) {
	t.Helper()
	for _, m := range members {
		if process.Running(m.pid, m.identity) {
			t.Errorf("process %d still runs: %s", m.pid, m.command)
		}
	}
	out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, name) {
			t.Errorf("a process of the stack still runs: %s", line)
		}
	}
}

// startWarm starts a stack that keeps its data, with a function that has run.
func startWarm(t *testing.T, name string) (*local, []member) {
	t.Helper()
	l, err := up(name, "-port", "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.process.Kill)
	if a := l.get(t, "/health"); a.status != http.StatusOK {
		t.Fatalf("health answers %d\n%s", a.status, a.body)
	}
	members := l.members(t)
	servers := map[stack.Emulator][]string{stack.Own: {"ministack", "objectstore"}, stack.LocalStack: {"localstack/serve.py", "dynamodb/lib"}}
	for _, want := range append(servers[l.Emulator], "postgres", "health") {
		if !slices.ContainsFunc(members, func(m member) bool { return strings.Contains(m.command, want) }) {
			t.Fatalf("no process of %s among %v", want, members)
		}
	}
	return l, members
}

// make down ends a stack, and says so if there is none.
func TestDown(t *testing.T) {
	name := stackName("down")
	clean(t, name)
	l, members := startWarm(t, name)
	if out, code := runLocal(t, nil, "up", "-root", root, "-stack", name, "-port", "0"); code != 1 || !strings.Contains(out, "make down STACK="+name) {
		t.Errorf("a second up of the same stack: status %d\n%s", code, out)
	}
	out, code := runLocal(t, nil, "down", "-root", root, "-stack", name)
	if code != 0 {
		t.Errorf("down: status %d\n%s", code, out)
	}
	<-l.process.Done()
	if l.process.ExitCode() != 0 {
		t.Errorf("up ended with status %d\n%s", l.process.ExitCode(), l.output)
	}
	checkEnded(t, name, members)
	if out, code := runLocal(t, nil, "down", "-root", root, "-stack", name); code != 0 {
		t.Errorf("down of a stack that doesn't run: status %d\n%s", code, out)
	}
}

// A first make up has something to export.
func TestUp_seeds(t *testing.T) {
	name := stackName("seeds")
	clean(t, name)
	l, err := up(name, "-port", "0", "-rows", "50")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.process.Kill)
	eventually(t, time.Minute, "the stack says that it is ready", func() bool { return strings.Contains(l.output.String(), "\nready: ") })
	done := l.follow(t, l.create(t).ExportID, time.Minute, nil)
	if done.Status != "completed" || done.Progress.ProcessedRows != 50 {
		t.Errorf("status %+v, want 50 rows", done)
	}
	if err := l.stop(); err != nil {
		t.Error(err)
	}
}

// Ctrl-C ends a stack in good order.
func TestUp_interrupted(t *testing.T) {
	name := stackName("interrupted")
	clean(t, name)
	l, members := startWarm(t, name)
	if err := syscall.Kill(l.PID, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-l.process.Done()
	if l.process.ExitCode() != 0 {
		t.Errorf("up ended with status %d\n%s", l.process.ExitCode(), l.output)
	}
	checkEnded(t, name, members)
}

// What a killed stack left behind is ended by the next one.
func TestUp_killed(t *testing.T) {
	name := stackName("killed")
	clean(t, name)
	first, left := startWarm(t, name)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.process.Done()
	second, members := startWarm(t, name)
	for _, m := range left {
		if process.Running(m.pid, m.identity) {
			t.Errorf("process %d of the killed stack still runs: %s", m.pid, m.command)
		}
	}
	if err := syscall.Kill(second.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-second.process.Done()
	if out, code := runLocal(t, nil, "down", "-root", root, "-stack", name); code != 0 {
		t.Errorf("down: status %d\n%s", code, out)
	}
	checkEnded(t, name, members)
}

// A port that somebody else holds is said.
func TestUp_portTaken(t *testing.T) {
	name := stackName("port")
	clean(t, name)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	out, code := runLocal(t, nil, "up", "-root", root, "-stack", name, "-port", port)
	checkRefused(t, name, out, code, "port "+port)
}

// checkRefused checks a start that failed: one line says why.
func checkRefused(t *testing.T, name, out string, code int, why string) {
	t.Helper()
	if _, reason, _ := strings.Cut(out, "local: "); code != 1 || !strings.Contains(reason, why) || strings.Count(reason, "\n") != 1 {
		t.Errorf("status %d, want 1 and one line, the last, with %q\n%s", code, why, out)
	}
	checkEnded(t, name, nil)
	if _, err := stack.Find(root, name); err == nil {
		t.Error("the stack counts as running")
	}
}

// A machine without Python is told what to install.
func TestUp_noPython(t *testing.T) {
	fresh := t.TempDir() // a project without an environment yet
	for _, part := range []string{"template.yaml", "go.mod", "go.sum", "functions", "internal", "infra/local"} {
		target := filepath.Join(fresh, part)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, code := runCommand(t, nil, "cp", "-R", filepath.Join(root, part), target); code != 0 {
			t.Fatal(out)
		}
	}
	bin := t.TempDir() // a PATH with Go only
	compiler, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(compiler, filepath.Join(bin, "go")); err != nil {
		t.Fatal(err)
	}
	name := stackName("python")
	out, code := runLocal(t, []string{"PATH=" + bin}, "up", "-root", fresh, "-stack", name, "-port", "0")
	checkRefused(t, name, out, code, "no python3 on PATH: install Python 3.10 or later")
}

// A stack that was ended and started again still has its exports.
func TestUp_again(t *testing.T) {
	name := stackName("again")
	clean(t, name)
	first, _ := startWarm(t, name)
	first.seed(t, smallRows)
	done := first.follow(t, first.create(t).ExportID, time.Minute, nil)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second, _ := startWarm(t, name)
	again := decodeStatus(t, second.get(t, "/exports/"+done.ExportID+"/status"), http.StatusOK)
	second.checkFile(t, again)
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
}
