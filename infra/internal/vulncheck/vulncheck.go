// Package vulncheck looks for known vulnerabilities that a module's code
// reaches, by govulncheck, and never says that there are none when nothing was
// looked up.
package vulncheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Pinned; see docs/design.md, decision 41.
const govulncheck = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"

// source is the vulnerability database's own repository, as a Go module.
const source = "golang.org/x/vulndb"

// goStandardLibrary is how govulncheck names the module of Go itself.
const goStandardLibrary = "stdlib"

var (
	// ErrFound says that the code reaches a known vulnerability of a module.
	ErrFound = errors.New("the code reaches known vulnerabilities")
	// ErrNotChecked says that there was no vulnerability database.
	ErrNotChecked = errors.New("not checked: no vulnerability database")
)

// Vulnerability is one that the code reaches.
type Vulnerability struct {
	ID      string
	Module  string // stdlib: Go's own
	Version string // in use
	Fixed   string // the first version without it; empty if there is none
	Call    string // the function of ours that leads there, one of possibly many
}

// Check looks at the modules in the folders and reports to out. The database is
// the public one, or where that can't be reached its repository, which the Go
// module proxy serves too: an index of that is kept in the folder cache. The
// error wraps ErrFound, or ErrNotChecked where neither can be had. What Go's own
// library has is reported and no error: the go command that builds is not the
// project's to choose.
func Check(ctx context.Context, folders []string, cache string, out io.Writer) error {
	var flags []string
	found := false
	for _, folder := range folders {
		report, err := scan(ctx, folder, flags)
		if err != nil && flags == nil {
			reason := err
			db, version, err := index(ctx, cache)
			if err != nil {
				return fmt.Errorf("%w (%w; %w)", ErrNotChecked, reason, err)
			}
			fmt.Fprintf(out, "vulnerabilities: the public database can't be reached; looked up in %s %s instead\n", source, version)
			flags = []string{"-db", "file://" + db}
			if report, err = scan(ctx, folder, flags); err != nil {
				return fmt.Errorf("%w (%w)", ErrNotChecked, err)
			}
		} else if err != nil {
			return fmt.Errorf("%w (%w)", ErrNotChecked, err)
		}
		all, err := read(bytes.NewReader(report))
		if err != nil {
			return err
		}
		found = tell(out, filepath.Base(folder), all) || found
	}
	if found {
		return ErrFound
	}
	return nil
}

// tell prints what was found and reports whether a module is among it.
func tell(out io.Writer, name string, all []Vulnerability) (found bool) {
	for _, v := range all {
		fixed := "no fixed version yet"
		if v.Fixed != "" {
			fixed = "fixed in " + v.Fixed
		}
		what := v.Module + "@" + v.Version
		if v.Module == goStandardLibrary {
			what = "warning: Go " + strings.TrimPrefix(v.Version, "v") + " itself"
		} else {
			found = true
		}
		fmt.Fprintf(out, "vulnerabilities: %s: %s: %s, %s; reached from %s\n", name, v.ID, what, fixed, v.Call)
	}
	fmt.Fprintf(out, "vulnerabilities: %s: %d found\n", name, len(all))
	return found
}

// scan runs govulncheck in a folder and returns its records.
func scan(ctx context.Context, folder string, flags []string) ([]byte, error) {
	return goCommand(ctx, folder, append(append([]string{"run", govulncheck, "-format", "json"}, flags...), "./...")...)
}

// index makes a database of its repository's newest version, unless the folder
// cache has it, and returns its path and that version.
func index(ctx context.Context, cache string) (path, version string, err error) {
	text, err := goCommand(ctx, "", "mod", "download", "-json", source+"@latest")
	if err != nil {
		return "", "", err
	}
	var module struct{ Version, Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return "", "", err
	}
	path, err = filepath.Abs(filepath.Join(cache, module.Version))
	if err != nil {
		return "", "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, module.Version, nil
	}
	if err := os.RemoveAll(cache); err != nil { // older ones, and unfinished ones
		return "", "", err
	}
	_, err = goCommand(ctx, "", "run", source+"/cmd/indexdb@"+module.Version, "-vulns", filepath.Join(module.Dir, "data", "osv"), "-out", path+".new")
	return path, module.Version, errors.Join(err, os.Rename(path+".new", path))
}

func goCommand(ctx context.Context, folder string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args[:2], " "), err, strings.Join(lines[max(0, len(lines)-2):], " "))
	}
	return out, nil
}

// read returns the vulnerabilities that the code reaches, each once, out of
// govulncheck's records (its documentation, "JSON Output"). Records that end
// before a scan's configuration are an error, not a good result.
func read(r io.Reader) ([]Vulnerability, error) {
	var all []Vulnerability
	scanned := false
	for d := json.NewDecoder(r); ; {
		var record struct {
			Config *struct {
				ScanLevel string `json:"scan_level"`
			}
			Finding *struct {
				OSV   string `json:"osv"`
				Fixed string `json:"fixed_version"`
				Trace []struct{ Module, Version, Package, Function, Receiver string }
			}
		}
		err := d.Decode(&record)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("govulncheck's records: %w", err)
		}
		scanned = scanned || record.Config != nil && record.Config.ScanLevel == "symbol"
		f := record.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" { // only a required module, or an imported package
			continue
		}
		at, from := f.Trace[0], f.Trace[len(f.Trace)-1]
		same := func(v Vulnerability) bool { return v.ID == f.OSV && v.Module == at.Module }
		if !slices.ContainsFunc(all, same) {
			call := strings.TrimPrefix(from.Receiver+"."+from.Function, ".")
			all = append(all, Vulnerability{ID: f.OSV, Module: at.Module, Version: at.Version, Fixed: f.Fixed, Call: from.Package + ": " + call})
		}
	}
	if !scanned {
		return nil, fmt.Errorf("%w (govulncheck told of no scan)", ErrNotChecked)
	}
	return all, nil
}
