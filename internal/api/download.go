package api

import (
	"net/http"
	"strings"
	"time"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

// DownloadExport answers GET /exports/{id}/download with a presigned URL,
// signed anew for each request: as a redirect, or as JSON for those who
// accept that.
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
	e, err := find(r, h.Jobs)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := downloadable(e, now); err != nil {
		return err
	}
	ttl := min(h.PresignTTL, e.ExpiresAt.Sub(now))
	url, err := h.Bucket.PresignGet(r.Context(), e.Result.Key, e.FileName(), ttl)
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

// downloadable returns nil when e has a file.
func downloadable(e export.Export, now time.Time) error {
	switch {
	case e.Status == export.Completed && now.Before(e.ExpiresAt):
		return nil
	case e.Status == export.Completed, e.Status == export.Expired:
		return export.Errorf(export.Gone, "The export's file has expired.")
	case e.Status == export.Deleted:
		return export.Errorf(export.Gone, "The export's file was deleted.")
	case e.Status == export.Cancelled:
		return export.Errorf(export.ExportFailed, "The export was cancelled.")
	case e.Failure != nil:
		return export.Errorf(export.ExportFailed, "The export failed: %s", e.Failure.Message)
	default:
		return export.Errorf(export.NotReady, "The export isn't finished yet; ask for its status.")
	}
}
