package api

import (
	"fmt"
	"net/http"
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
// URL that was presigned for GET refuses HEAD.
type DownloadExport struct {
	Jobs       *jobs.Store
	Bucket     *bucket.Bucket
	PresignTTL time.Duration
}

func (h *DownloadExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

type downloadView struct {
	URL       string       `json:"url"`
	ExpiresAt time.Time    `json:"expiresAt"`
	FileName  string       `json:"fileName"`
	Bytes     int64        `json:"bytes"`
	Rows      int64        `json:"rows"`
	Checksum  checksumView `json:"checksum"`
}

func (h *DownloadExport) serve(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	e, err := find(r, h.Jobs)
	if err == nil {
		err = downloadable(e, now)
	}
	if r.Method == http.MethodHead && err == nil {
		return h.head(w, r, e)
	}
	var url string
	var ttl time.Duration
	if err == nil {
		ttl = max(min(h.PresignTTL, e.ExpiresAt.Sub(now)), time.Second) // a signature's least
		url, err = h.Bucket.PresignGet(r.Context(), e.Result.Key, e.FileName(), ttl)
	}
	audit(r, "download", e, err)
	if err != nil {
		return err
	}
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Location", url)
		w.WriteHeader(http.StatusFound)
		return nil
	}
	return writeJSON(w, http.StatusOK, downloadView{
		URL: url, ExpiresAt: now.Add(ttl).UTC().Truncate(time.Second), FileName: e.FileName(),
		Bytes: e.Result.Bytes, Rows: e.Result.Rows, Checksum: viewChecksum(e.Result.CRC32),
	})
}

// head answers with the file's headers. API Gateway makes Content-Length
// itself, of the body that a HEAD doesn't have (API Gateway Developer Guide,
// "Important notes"), so the size stands in a header of our own.
func (h *DownloadExport) head(w http.ResponseWriter, r *http.Request, e export.Export) error {
	file, err := h.Bucket.Head(r.Context(), e.Result.Key)
	if err != nil {
		return &export.Error{Code: export.Unavailable, Message: "The file's storage can't be reached. Please try again.", Err: err}
	}
	if !file.Exists { // deleted just now, or lost
		if e, err = find(r, h.Jobs); err != nil {
			return err
		}
		if err := downloadable(e, time.Now()); err != nil {
			return err
		}
		return fmt.Errorf("export %s is completed but its file %s is missing", e.ID, e.Result.Key)
	}
	header := w.Header()
	header.Set("Content-Type", file.ContentType)
	header.Set("Content-Disposition", bucket.Attachment(e.FileName()))
	header.Set("Accept-Ranges", "bytes")
	header.Set("ETag", file.ETag)
	header.Set("Last-Modified", file.LastModified.UTC().Format(http.TimeFormat))
	checksum := viewChecksum(e.Result.CRC32)
	header.Set("X-Amz-Checksum-Crc32", checksum.Value)
	header.Set("X-Amz-Checksum-Type", checksum.Type)
	header.Set("X-Export-Bytes", strconv.FormatInt(file.Size, 10))
	header.Set("X-Export-Rows", strconv.FormatInt(e.Result.Rows, 10))
	w.WriteHeader(http.StatusOK)
	return nil
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
