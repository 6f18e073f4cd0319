package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

// DownloadExport answers GET /exports/{id}/download with a presigned URL,
// signed anew for each request: as a redirect, or as JSON for those who
// accept that. It answers HEAD with the headers of the file itself, because a
// URL that was presigned for GET refuses HEAD. The file of a split export is
// its manifest; ?file=N asks for the others.
type DownloadExport struct {
	Jobs       *jobs.Store
	Buckets    *bucket.Buckets
	PresignTTL time.Duration
}

func (h *DownloadExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

type downloadView struct {
	URL       string          `json:"url"`
	ExpiresAt time.Time       `json:"expiresAt"`
	FileName  string          `json:"fileName"`
	Bytes     int64           `json:"bytes"`
	Rows      int64           `json:"rows"`
	Checksum  export.Checksum `json:"checksum"`
	// Files are those that a manifest lists; null of any other file.
	Files []partView `json:"files"`
}

// partView is one file of a split export.
type partView struct {
	Number   int             `json:"number"`
	URL      string          `json:"url"`
	FileName string          `json:"fileName"`
	Bytes    int64           `json:"bytes"`
	Rows     int64           `json:"rows"`
	Checksum export.Checksum `json:"checksum"`
}

func (h *DownloadExport) serve(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	number, err := decodeDownload(r.URL.Query())
	var e export.Export
	if err == nil {
		e, err = find(r, h.Jobs)
	}
	if err == nil {
		err = downloadable(e, now)
	}
	if err == nil {
		err = partOf(e, number)
	}
	if r.Method == http.MethodHead && err == nil {
		return h.head(w, r, e, number)
	}
	var answer downloadView
	if err == nil {
		answer, err = h.sign(r, e, number, now)
	}
	audit(r, "download", e, err)
	if err != nil {
		return err
	}
	if !acceptsJSON(r) {
		w.Header().Set("Location", answer.URL)
		w.WriteHeader(http.StatusFound)
		return nil
	}
	return writeJSON(w, http.StatusOK, answer)
}

func acceptsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

// decodeDownload returns the number of the file that is asked for, or 0 for
// none: what it is of an export is partOf's to say.
func decodeDownload(query url.Values) (int, error) {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != "file" {
			return 0, invalid(export.FieldError{Field: name, Message: "is not a parameter of this request"})
		}
	}
	values := query["file"]
	if len(values) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(values[0], 10, 16) // takes no sign
	switch {
	case len(values) > 1:
		return 0, invalid(export.FieldError{Field: "file", Message: "is given twice"})
	case err != nil || n < 1 || n > export.MaxFiles:
		return 0, invalid(export.FieldError{Field: "file", Message: fmt.Sprintf("must be a number from 1 to %d", export.MaxFiles)})
	}
	return int(n), nil
}

// partOf returns the error for a completed export that has no such file.
func partOf(e export.Export, number int) error {
	switch {
	case number > 0 && e.Result.Files == 0:
		return invalid(export.FieldError{Field: "file", Message: "is for exports of several files, and this one has one"})
	case number > e.Result.Files:
		return invalid(export.FieldError{Field: "file", Message: fmt.Sprintf("must be a number from 1 to %d", e.Result.Files)})
	default:
		return nil
	}
}

// sign makes the answer for a file: that of a redirect has the URL only, so
// that it needs no look at the manifest.
func (h *DownloadExport) sign(r *http.Request, e export.Export, number int, now time.Time) (downloadView, error) {
	files := h.Buckets.For(e)
	ttl, err := h.signedFor(r, e, now)
	if err != nil {
		return downloadView{}, err
	}
	answer := downloadView{
		ExpiresAt: now.Add(ttl).UTC().Truncate(time.Second), FileName: e.FileName(),
		Bytes: e.Result.Bytes, Rows: e.Result.Rows, Checksum: export.ChecksumOf(e.Result.CRC32),
	}
	key := e.Result.Key
	if number > 0 {
		key, answer.FileName = e.PartKey(e.AttemptOf(key), number), e.PartName(number)
	}
	if answer.URL, err = files.PresignGet(r.Context(), key, answer.FileName, ttl); err != nil || e.Result.Files == 0 || !acceptsJSON(r) {
		return answer, err
	}
	m, err := h.manifest(r, e)
	if err != nil {
		return answer, err
	}
	if number > 0 {
		f := m.Files[number-1]
		answer.Bytes, answer.Rows, answer.Checksum = f.Bytes, f.Rows, f.Checksum
		return answer, nil
	}
	answer.Files = make([]partView, len(m.Files))
	for i, f := range m.Files {
		answer.Files[i] = partView{Number: f.Number, FileName: f.Name, Bytes: f.Bytes, Rows: f.Rows, Checksum: f.Checksum}
		if answer.Files[i].URL, err = files.PresignGet(r.Context(), e.PartKey(e.AttemptOf(e.Result.Key), f.Number), f.Name, ttl); err != nil {
			return answer, err
		}
	}
	return answer, nil
}

// signedFor is how long a URL of e's file that is signed now is good for: as
// long as the setting says, the file stays, and the signature holds.
func (h *DownloadExport) signedFor(r *http.Request, e export.Export, now time.Time) (time.Duration, error) {
	until, err := h.Buckets.For(e).SignedUntil(r.Context())
	if err != nil {
		return 0, &export.Error{Code: export.Unavailable, Message: "The file's storage can't be reached. Please try again.", Err: err}
	}
	ttl := h.PresignTTL
	for _, end := range []time.Time{until, e.ExpiresAt} {
		if !end.IsZero() {
			ttl = min(ttl, end.Sub(now))
		}
	}
	return max(ttl, time.Second), nil // a signature's least
}

// manifest reads the list of a split export's files.
func (h *DownloadExport) manifest(r *http.Request, e export.Export) (export.Manifest, error) {
	var m export.Manifest
	text, err := h.Buckets.For(e).Read(r.Context(), e.Result.Key)
	if export.CodeOf(err) == export.NotFound {
		return m, h.missing(r, e.Result.Key)
	}
	if err != nil {
		return m, &export.Error{Code: export.Unavailable, Message: "The file's storage can't be reached. Please try again.", Err: err}
	}
	if err = json.Unmarshal(text, &m); err == nil && (m.Version != export.ManifestVersion || len(m.Files) != e.Result.Files) {
		err = fmt.Errorf("version %d with %d files", m.Version, len(m.Files))
	}
	if err != nil {
		return m, fmt.Errorf("read manifest %s: %w", e.Result.Key, err)
	}
	return m, nil
}

// head answers with the file's headers. API Gateway makes Content-Length
// itself, of the body that a HEAD doesn't have (API Gateway Developer Guide,
// "Important notes"), so the size stands in a header of our own.
func (h *DownloadExport) head(w http.ResponseWriter, r *http.Request, e export.Export, number int) error {
	key, name, rows, checksum := e.Result.Key, e.FileName(), e.Result.Rows, export.ChecksumOf(e.Result.CRC32)
	if number > 0 {
		m, err := h.manifest(r, e)
		if err != nil {
			return err
		}
		f := m.Files[number-1]
		key, name, rows, checksum = e.PartKey(e.AttemptOf(key), number), f.Name, f.Rows, f.Checksum
	}
	file, err := h.Buckets.For(e).Head(r.Context(), key)
	if err != nil {
		return &export.Error{Code: export.Unavailable, Message: "The file's storage can't be reached. Please try again.", Err: err}
	}
	if !file.Exists {
		return h.missing(r, key)
	}
	header := w.Header()
	header.Set("Content-Type", file.ContentType)
	header.Set("Content-Disposition", bucket.Attachment(name))
	header.Set("Accept-Ranges", "bytes")
	header.Set("ETag", file.ETag)
	header.Set("Last-Modified", file.LastModified.UTC().Format(http.TimeFormat))
	header.Set("X-Amz-Checksum-Crc32", checksum.Value)
	header.Set("X-Amz-Checksum-Type", checksum.Type)
	header.Set("X-Export-Bytes", strconv.FormatInt(file.Size, 10))
	header.Set("X-Export-Rows", strconv.FormatInt(rows, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// missing is the error for a completed export whose object isn't there: it was
// deleted just now, or by whoever owns the destination, or is lost.
func (h *DownloadExport) missing(r *http.Request, key string) error {
	e, err := find(r, h.Jobs)
	if err == nil {
		err = downloadable(e, time.Now())
	}
	if err == nil && e.Spec.Destination != nil {
		err = export.Errorf(export.Gone, "The file isn't in the destination %s any more.", e.Spec.Destination.Name)
	}
	if err == nil {
		err = fmt.Errorf("export %s is completed but its file %s is missing", e.ID, key)
	}
	return err
}

// downloadable returns nil when e has a file.
func downloadable(e export.Export, now time.Time) error {
	switch e.StatusAt(now) {
	case export.Completed:
		return nil
	case export.Expired:
		return export.Errorf(export.Gone, "The export's file has expired.")
	case export.Deleted:
		return export.Errorf(export.Gone, "The export's file was deleted.")
	case export.Cancelled:
		return export.Errorf(export.ExportFailed, "The export was cancelled.")
	case export.Failed:
		return export.Errorf(export.ExportFailed, "The export failed: %s", e.Failure.Message)
	default:
		return export.Errorf(export.NotReady, "The export isn't finished yet; ask for its status.")
	}
}
