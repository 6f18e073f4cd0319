package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"csvexport/infra/internal/filelock"
	"csvexport/infra/internal/postgres"
	"csvexport/infra/internal/process"
)

// Folder is the exclusive hold on the folder of one stack, ROOT/.local/NAME.
// At most one program has it, and it ends with that program.
type Folder struct {
	Root string
	Name string

	ephemeral bool
	lock      *filelock.Lock

	mu        sync.Mutex
	processes []Process
}

// Process is a process of a stack, in a form that outlives the reuse of its id.
type Process struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Identity string `json:"identity"`
}

// RunningError says that a stack is held by another program.
type RunningError struct {
	Name  string
	Owner Process // PID 0 if it isn't known
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("the stack %q runs already (process %d): stop it with `make down STACK=%s`, or choose another name with STACK=…", e.Name, e.Owner.PID, e.Name)
}

const (
	endTimeout = 10 * time.Second
	pollEvery  = 20 * time.Millisecond
)

// validName keeps physical names and bucket names legal; "venv" is the Python environment's.
var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

func local(root string) string { return filepath.Join(root, ".local") }

// Venv is the folder of the Python environment that all stacks share.
func Venv(root string) string { return filepath.Join(local(root), "venv") }

// Open takes hold of a stack's folder and ends whatever a killed program left
// of that stack, and of ephemeral ones. An ephemeral folder starts empty and
// is removed by Close. The error is a *RunningError if another program holds it.
func Open(root, name string, ephemeral bool) (*Folder, error) {
	if !validName.MatchString(name) || name == "venv" {
		return nil, fmt.Errorf("stack name %q: want a letter and then letters, digits and hyphens, all lower case, 31 at most", name)
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := removeDeadEphemeral(root); err != nil {
		return nil, err
	}
	f, err := take(root, name)
	if err != nil {
		return nil, err
	}
	f.ephemeral = ephemeral
	if err := f.occupy(); err != nil {
		return nil, errors.Join(err, f.lock.Release())
	}
	return f, nil
}

func (f *Folder) occupy() error {
	if _, err := f.endLeftovers(); err != nil {
		return err
	}
	if f.ephemeral {
		if err := f.Clean(); err != nil {
			return err
		}
		if err := os.WriteFile(f.Path("ephemeral"), nil, 0o644); err != nil {
			return err
		}
	}
	self, err := identify("local", os.Getpid())
	if err != nil {
		return err
	}
	note, err := json.Marshal(self)
	if err != nil {
		return err
	}
	return errors.Join(f.lock.Write(note), os.MkdirAll(f.Path("logs"), 0o755))
}

func take(root, name string) (*Folder, error) {
	f := &Folder{Root: root, Name: name}
	if err := os.MkdirAll(f.Path(), 0o755); err != nil {
		return nil, fmt.Errorf("make the stack's folder: %w", err)
	}
	var err error
	f.lock, err = filelock.Try(f.Path("lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, &RunningError{Name: name, Owner: owner(root, name)}
	}
	return f, err
}

// owner reads the note of the program that holds a stack's lock.
func owner(root, name string) (p Process) {
	text, err := os.ReadFile(filepath.Join(local(root), name, "lock"))
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil { // it was opened a moment ago
		return Process{}
	}
	return p
}

// Path joins elements to the folder's path.
func (f *Folder) Path(elem ...string) string {
	return filepath.Join(append([]string{local(f.Root), f.Name}, elem...)...)
}

// Started records a process, so that the next program can end it if this one
// is killed. It has the form that server.Spec asks for.
func (f *Folder) Started(name string, pid int) error {
	p, err := identify(name, pid)
	if errors.Is(err, os.ErrProcessDone) {
		return nil // whoever started it will see that
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes = append(f.processes, p)
	return writeJSON(f.Path("processes.json"), f.processes)
}

// Processes lists what Started recorded.
func (f *Folder) Processes() []Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Process{}, f.processes...)
}

// endLeftovers kills the recorded processes of an earlier holder and returns those that still ran.
func (f *Folder) endLeftovers() ([]Process, error) {
	var left, ended []Process
	if err := readJSON(f.Path("processes.json"), &left); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, p := range left {
		if !process.Running(p.PID, p.Identity) {
			continue
		}
		if err := endProcess(p); err != nil {
			return ended, err
		}
		ended = append(ended, p)
	}
	return ended, errors.Join(postgres.EndOrphans(f.Path()), remove(f.Path("processes.json")), remove(f.Path(stateFile)))
}

func endProcess(p Process) error {
	if err := process.KillIfSame(p.PID, p.Identity); err != nil {
		return err
	}
	for deadline := time.Now().Add(endTimeout); process.Running(p.PID, p.Identity); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d (%s) does not end", p.PID, p.Name)
		}
	}
	return nil
}

// Clean removes everything the stack has kept, rows included. Nothing of it may run.
func (f *Folder) Clean() error {
	if err := postgres.Remove(f.Path()); err != nil {
		return fmt.Errorf("remove the data of stack %q: %w", f.Name, err)
	}
	entries, err := os.ReadDir(f.Path())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == "lock" {
			continue
		}
		if err := os.RemoveAll(f.Path(entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Close gives the folder up, and removes it if it is ephemeral. All processes
// of the stack must have ended.
func (f *Folder) Close() error {
	err := errors.Join(remove(f.Path("processes.json")), remove(f.Path(stateFile)))
	if f.ephemeral {
		err = errors.Join(err, f.remove())
	}
	return errors.Join(err, f.lock.Release())
}

// remove deletes the folder with the lock still held.
func (f *Folder) remove() error {
	return errors.Join(f.Clean(), os.RemoveAll(f.Path()))
}

// removeDeadEphemeral removes the ephemeral stacks of killed programs.
func removeDeadEphemeral(root string) error {
	marks, err := filepath.Glob(filepath.Join(local(root), "*", "ephemeral"))
	if err != nil {
		return err
	}
	for _, mark := range marks {
		f, err := take(root, filepath.Base(filepath.Dir(mark)))
		var running *RunningError
		if errors.As(err, &running) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.endLeftovers()
		if err := errors.Join(err, f.remove(), f.lock.Release()); err != nil {
			return err
		}
	}
	return nil
}

func identify(name string, pid int) (Process, error) {
	identity, err := process.Identity(pid)
	return Process{Name: name, PID: pid, Identity: identity}, err
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces the file at once: readers see the old or the new content.
// Only the user may read it: it holds passwords.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
