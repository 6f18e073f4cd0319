package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// browser follows no redirect, so that tests see them.
var browser = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       time.Minute,
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request sends a request to a path of the service, or to a whole URL, and
// checks both it and the answer against the service's contract. Headers are
// given as "Name: value"; a body is JSON unless they say otherwise. An
// empty value is a header that isn't sent.
func (l *local) request(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = l.BaseURL + target
		if l.authorization != "" {
			headers = append([]string{"Authorization: " + l.authorization}, headers...)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{resp.StatusCode, resp.Header, readAll(t, resp.Body)}
	checkContract(t, l.BaseURL, req, body, a)
	return a
}

func (l *local) get(t *testing.T, target string, headers ...string) answer {
	t.Helper()
	return l.request(t, http.MethodGet, target, "", headers...)
}

// download returns what is packed in an export's file.
func (l *local) download(t *testing.T, id string) []byte {
	t.Helper()
	return gunzip(t, l.get(t, l.get(t, "/exports/"+id+"/download").header.Get("Location")).body)
}

// decode reads a JSON answer with the given status and media type, and no
// field that v lacks.
func (a answer) decode(t *testing.T, status int, mediaType string, v any) {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != mediaType {
		t.Fatalf("answer is %d %s, want %d %s\n%s", a.status, a.header.Get("Content-Type"), status, mediaType, a.body)
	}
	d := json.NewDecoder(strings.NewReader(string(a.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("decode: %v\n%s", err, a.body)
	}
}

// status is an export as the service shows it.
type status struct {
	ExportID      string       `json:"exportId"`
	Status        string       `json:"status"`
	Phase         *string      `json:"phase"`
	Done          bool         `json:"done"`
	QueuePosition *int         `json:"queuePosition"`
	Dataset       string       `json:"dataset"`
	Request       asked        `json:"request"`
	Progress      progress     `json:"progress"`
	Error         *string      `json:"error"`
	ErrorCode     *string      `json:"errorCode"`
	File          *file        `json:"file"`
	Files         *files       `json:"files"`
	Consistency   *consistency `json:"consistency"`
	Order         *string      `json:"order"`
	Attempts      int          `json:"attempts"`
	CreatedAt     *time.Time   `json:"createdAt"`
	StartedAt     *time.Time   `json:"startedAt"`
	CompletedAt   *time.Time   `json:"completedAt"`
	ExpiresAt     *time.Time   `json:"expiresAt"`
}

// asked is what an export was asked for.
type asked struct {
	Filters  map[string][]string `json:"filters"`
	Columns  []string            `json:"columns"`
	Format   map[string]any      `json:"format"`
	FileName *string             `json:"fileName"`

	MaxRowsPerFile *int           `json:"maxRowsPerFile"`
	Destination    *askedLocation `json:"destination"`
}

// askedLocation is where a file was asked to go.
type askedLocation struct {
	Name   string  `json:"name"`
	Prefix *string `json:"prefix"`
}

type progress struct {
	TotalRows     *int   `json:"totalRows"`
	ProcessedRows int    `json:"processedRows"`
	Percentage    int    `json:"percentage"`
	RowsPerSecond int    `json:"rowsPerSecond"`
	SecondsLeft   *int64 `json:"secondsLeft"`
}

type file struct {
	Name              string   `json:"name"`
	Bytes             int      `json:"bytes"`
	UncompressedBytes int      `json:"uncompressedBytes"`
	Checksum          checksum `json:"checksum"`
	Location          *string  `json:"location"`
}

// files are those of a split export, together.
type files struct {
	Count int `json:"count"`
	Bytes int `json:"bytes"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Type      string `json:"type"`
	Value     string `json:"value"`
}

type consistency struct {
	Kind string    `json:"kind"`
	AsOf time.Time `json:"asOf"`
}

// statusFields are the fields that every status has, known or not yet.
var statusFields = []string{
	"attempts", "completedAt", "consistency", "createdAt", "dataset", "done", "error", "errorCode",
	"expiresAt", "exportId", "file", "files", "order", "phase", "progress", "queuePosition", "request", "startedAt", "status",
}

// decodeStatus reads a status and checks what holds for each.
func decodeStatus(t *testing.T, a answer, code int) status {
	t.Helper()
	var s status
	a.decode(t, code, "application/json", &s)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &fields); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(statusFields, slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Fatalf("fields of the status (-want +got):\n%s", diff)
	}
	if processing := s.Status == "processing"; processing == s.Done || processing != (s.Phase != nil) || processing != (s.CompletedAt == nil) {
		t.Fatalf("a status that contradicts itself: %s", a.body)
	}
	had := slices.Contains([]string{"completed", "expired", "deleted"}, s.Status)
	if had != (s.Progress.Percentage == 100) || had != (s.File != nil) {
		t.Fatalf("100 %% and a file belong to an export that was completed: %s", a.body)
	}
	return s
}

// create starts an export of all users.
func (l *local) create(t *testing.T) status {
	t.Helper()
	return decodeStatus(t, l.request(t, http.MethodPost, "/exports/csv", "{}"), http.StatusAccepted)
}

// follow polls the status until the export is done, and checks that it only
// goes forward: legal phases, and rows and percentage that never fall within
// an attempt. It calls see, if given, with every status.
func (l *local) follow(t *testing.T, id string, timeout time.Duration, see func(status)) status {
	t.Helper()
	phases := []string{"queued", "running", "finalizing"}
	var last status
	eventually(t, timeout, "export "+id+" is done", func() bool {
		s := decodeStatus(t, l.get(t, "/exports/"+id+"/status"), http.StatusOK)
		if s.Phase != nil && !slices.Contains(phases, *s.Phase) {
			t.Fatalf("phase %q", *s.Phase)
		}
		if s.Attempts == last.Attempts && (s.Progress.Percentage < last.Progress.Percentage || s.Progress.ProcessedRows < last.Progress.ProcessedRows) {
			t.Fatalf("progress went back from %+v to %+v", last.Progress, s.Progress)
		}
		if s.Attempts == last.Attempts && s.Phase != nil && last.Phase != nil && slices.Index(phases, *s.Phase) < slices.Index(phases, *last.Phase) {
			t.Fatalf("phase went back from %s to %s", *last.Phase, *s.Phase)
		}
		if see != nil {
			see(s)
		}
		last = s
		return s.Done
	})
	return last
}
