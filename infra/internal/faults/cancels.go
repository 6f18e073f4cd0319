package faults

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"csvexport/infra/internal/invariants"
	"csvexport/infra/internal/wire"
)

// cancelLimit is within which time a cancelled export's queries have ended.
const cancelLimit = 2 * time.Second

// ownTime is within which a worker that lives has removed what it made, well
// before the sweep comes for it.
const ownTime = 5 * time.Second

// cancelFaults are of callers who change their minds.
func cancelFaults() []fault {
	return []fault{
		{14, "cancel", []point{
			{name: "while queued", run: func(t *trial) {
				id := t.createHeld()
				t.cancelled(id)
				t.deliver(id)
			}},
			{name: "in COPY", run: func(t *trial) { cancelAt(t, wire.Before(), copying) }},
			{name: "in upload", run: func(t *trial) { cancelAt(t, wire.Before(), uploading) }},
			{name: "in finalizing", run: func(t *trial) { cancelAt(t, wire.Before(), completing) }},
			{name: "in finalizing, when the file is there", run: func(t *trial) {
				cancelAt(t, wire.After(), completing)
				t.checkWithin(ownTime)
			}},
			{name: "after completion", run: func(t *trial) {
				id := t.create(table)
				t.end(id, "completed", 1)
				t.cancel(id)
				t.strike()
				t.end(id, "deleted", 1)
			}},
		}},
		{15, "delete during download", []point{{name: "with half the file read", run: deletedDuringDownload}}},
	}
}

// cancelled cancels an export and sees to it that it stays so.
func (t *trial) cancelled(id string) {
	t.cancel(id)
	t.strike()
	t.end(id, "cancelled", 0)
}

// cancelAt cancels an export whose worker stands at the gate. A call that the
// gate holds arrives later, maybe when the worker has given up: then what comes
// of it is the sweep's to remove.
func cancelAt(t *trial, g *wire.Gate, moment func(wire.Call) bool) {
	id := t.createGated(g, moment)
	pid := t.pid(t.arrive(g))
	t.cancelled(id)
	began := time.Now()
	t.wait("the queries have ended", reachTime, func() bool { return t.sessions(id, "active") == 0 })
	if took := time.Since(began); took > cancelLimit {
		t.errorf("the queries ended %v after the cancel", took)
	}
	g.Open()
	t.wait("the worker has stopped", reachTime, func() bool { return t.idle(pid) })
	t.end(id, "cancelled", 1)
}

// idle reports whether a function's process waits for its next invocation, or
// has ended.
func (t *trial) idle(pid int) bool {
	processes, err := invariants.Processes(t.ctx, t.stack.State)
	t.must(err)
	for _, p := range processes {
		if p.PID == pid {
			return p.State != "busy"
		}
	}
	return true
}

func deletedDuringDownload(t *trial) {
	id := t.create(table)
	t.end(id, "completed", 1)
	address, size := t.download(id)
	resp, err := t.get(address)
	t.must(err)
	defer resp.Body.Close()
	read, err := io.CopyN(io.Discard, resp.Body, size/2)
	t.must(err)
	t.cancel(id)
	t.strike()
	rest, err := io.Copy(io.Discard, resp.Body)
	if err == nil && read+rest != size {
		t.errorf("the download ended well after %d of %d bytes", read+rest, size)
	}
	again, err := t.get(address)
	t.must(err)
	defer again.Body.Close()
	if again.StatusCode != http.StatusNotFound {
		t.errorf("after the delete the URL answers %d, want 404", again.StatusCode)
	}
	if code, text := t.send(http.MethodGet, "/exports/"+id+"/download", ""); code != http.StatusGone {
		t.errorf("after the delete the download answers %d (%s), want 410", code, text)
	}
	t.end(id, "deleted", 1)
}

// download returns an export's presigned URL and its file's size.
func (t *trial) download(id string) (address string, size int64) {
	code, text, err := t.request(t.token, http.MethodGet, "/exports/"+id+"/download", "", "Accept: application/json")
	t.must(err)
	if code != http.StatusOK {
		t.fatalf("download answers %d: %s", code, text)
	}
	var d struct {
		URL   string `json:"url"`
		Bytes int64  `json:"bytes"`
	}
	t.must(json.Unmarshal(text, &d))
	return d.URL, d.Bytes
}

func (t *trial) get(address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return t.client.Do(req)
}
