// Package invariants looks at everything that a stack holds after a
// disturbance - objects, open uploads, items, database sessions, processes,
// temporary files - and tells what must not be so (docs/design.md, "State").
//
// It knows the service by its formats alone: it shares no code with it.
package invariants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"csvexport/infra/internal/stack"
)

// Content is what a file must hold, unpacked.
type Content struct {
	SHA256 string
	Bytes  int64
}

// Check says what to look at.
type Check struct {
	State stack.State
	// Exports are the ids to look at; nil: everything there is, with the owners'
	// quotas, the functions' processes and temporary files, which only stand
	// still when no export is under way.
	Exports []string
	// Content tells what a completed export's file must hold; ok is false where
	// that isn't known. nil: never.
	Content func(Export) (content Content, ok bool)
}

// Violations returns what isn't as it must be, a sentence each. Exports that
// are still processing are no violation.
func (c Check) Violations(ctx context.Context) ([]string, error) {
	items, err := readItems(ctx, c.State)
	if err != nil {
		return nil, err
	}
	exports := slices.DeleteFunc(items.exports(), func(e Export) bool { return !c.wants(e.ID) })
	files, err := readFiles(ctx, c.State, exports)
	if err != nil {
		return nil, err
	}
	sessions, err := readSessions(ctx, c.State)
	if err != nil {
		return nil, err
	}
	found := &violations{}
	for _, id := range c.Exports {
		if !slices.ContainsFunc(exports, func(e Export) bool { return e.ID == id }) {
			found.add("export %s has no record", id)
		}
	}
	for _, e := range exports {
		checkItems(found, e)
		checkFile(found, e, files.objects)
		if err := c.checkContent(ctx, found, e, files); err != nil {
			return nil, err
		}
	}
	c.checkLeft(found, exports, files, sessions)
	if c.Exports == nil {
		checkQuotas(found, items, exports)
		if err := errors.Join(checkProcesses(ctx, found, c.State, exports), checkTemp(found, c.State)); err != nil {
			return nil, err
		}
	}
	return found.list, nil
}

// checkContent looks into the file of a completed export, if it is there.
func (c Check) checkContent(ctx context.Context, v *violations, e Export, files files) error {
	if e.Status != "completed" || e.Result == nil || files.objects[e.Result.Key] == (object{}) || !e.split() && !strings.HasSuffix(e.Result.Key, ".gz") {
		return nil
	}
	var want *Content
	if c.Content != nil {
		if content, ok := c.Content(e); ok {
			want = &content
		}
	}
	if e.split() {
		return checkSplitContent(ctx, v, c.State, e, files, want)
	}
	return checkContent(ctx, v, c.State, e, files, want)
}

func (c Check) wants(id string) bool { return c.Exports == nil || slices.Contains(c.Exports, id) }

// Settled waits, at most for within, until there are no violations, and
// returns those that remain. What a dead worker leaves is removed a lease (20 s)
// after its export's end, by a sweep.
func (c Check) Settled(ctx context.Context, within time.Duration) ([]string, error) {
	for deadline := time.Now().Add(within); ; {
		found, err := c.Violations(ctx)
		if err != nil || len(found) == 0 || time.Now().After(deadline) {
			return found, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), context.Cause(ctx))
		}
	}
}

// violations gathers sentences.
type violations struct{ list []string }

func (v *violations) add(format string, args ...any) {
	v.list = append(v.list, fmt.Sprintf(format, args...))
}

// checkItems looks at an export's own items.
func checkItems(v *violations, e Export) {
	done := []string{"completed", "failed", "cancelled", "expired", "deleted"}
	switch {
	case e.Status == "processing":
		if !slices.Contains([]string{"queued", "running", "finalizing"}, e.Phase) {
			v.add("export %s is processing in phase %q", e.ID, e.Phase)
		}
		if e.DueAt == "" {
			v.add("export %s is processing, and no sweep will ever look at it", e.ID)
		}
		if e.Notice {
			v.add("export %s is processing, and somebody is to be told of its end", e.ID)
		}
		return
	case !slices.Contains(done, e.Status):
		v.add("export %s has the status %q", e.ID, e.Status)
	}
	if e.Phase != "" {
		v.add("export %s is %s and still has the phase %s", e.ID, e.Status, e.Phase)
	}
	if e.Lease != "" || e.Worker != "" {
		v.add("export %s is %s and still has a worker: %s until %s", e.ID, e.Status, e.Worker, e.Lease)
	}
	if e.Status == "failed" && (e.ErrorCode == "" || e.ErrorMessage == "") {
		v.add("export %s failed without a reason", e.ID)
	}
	if e.Notice {
		v.add("export %s is %s, and not everybody was told of it", e.ID, e.Status)
	}
	if e.Waiting {
		v.add("export %s is %s and still counted as waiting", e.ID, e.Status)
	}
}

// checkFile looks for the object that a completed export names.
func checkFile(v *violations, e Export, objects map[string]object) {
	if e.Status != "completed" {
		return
	}
	if e.Result == nil {
		v.add("export %s is completed and has no result", e.ID)
		return
	}
	o, there := objects[e.Result.Key]
	switch {
	case !there:
		v.add("export %s is completed and its object %s is missing", e.ID, e.Result.Key)
	case o.size != e.Result.Bytes:
		v.add("object %s has %d bytes, its record says %d", e.Result.Key, o.size, e.Result.Bytes)
	case o.token != e.Token:
		v.add("object %s has the token %q, its record says %q", e.Result.Key, o.token, e.Token)
	}
	if e.split() {
		checkParts(v, e, objects)
	}
}

// checkLeft looks for what belongs to no export, or to one that is done.
func (c Check) checkLeft(v *violations, exports []Export, files files, sessions []session) {
	byID := map[string]Export{}
	for _, e := range exports {
		byID[e.ID] = e
	}
	for key, o := range files.objects {
		id := exportOf(key)
		e, known := byID[id]
		if known && c.wants(id) {
			checkPlace(v, e, key, o.bucket, c.State)
		}
		switch {
		case !c.wants(id):
		case !known:
			v.add("object %s belongs to no export", key)
		case e.Status == "processing" && (e.Phase == "finalizing" || isPart(key)): // about to be named
		case e.Status != "completed" || !e.names(key):
			v.add("object %s is there, but its export is %s", key, e.Status)
		}
	}
	for _, key := range files.uploads {
		if e, known := byID[exportOf(key)]; c.wants(exportOf(key)) && (!known || e.Status != "processing") {
			v.add("an upload of %s is open, but its export is %q", key, e.Status)
		}
	}
	for _, s := range sessions {
		id, _, _ := strings.Cut(strings.TrimPrefix(s.Name, "csvexport "), "/")
		if e, known := byID[id]; known && e.Status != "processing" {
			v.add("a session of export %s, which is %s, is %s in the database: %s", id, e.Status, s.State, s.Query)
		} else if !known && c.Exports == nil && strings.HasPrefix(s.State, "idle in transaction") {
			v.add("a session %q is %s in the database: %s", s.Name, s.State, s.Query)
		}
	}
}

// checkQuotas compares each owner's number of active exports with the exports.
func checkQuotas(v *violations, all items, exports []Export) {
	active := map[string]int64{}
	for _, e := range exports {
		if e.Status == "processing" {
			active[e.Owner]++
		}
	}
	for owner, counted := range all.active() {
		if counted != active[owner] {
			v.add("owner %s has %d exports that aren't done, its quota says %d", owner, active[owner], counted)
		}
	}
}
