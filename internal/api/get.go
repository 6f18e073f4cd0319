package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

// GetExport answers GET /exports/{id}/status.
type GetExport struct {
	Jobs *jobs.Store
}

func (h *GetExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *GetExport) serve(w http.ResponseWriter, r *http.Request) error {
	e, err := find(r, h.Jobs)
	if err != nil {
		return err
	}
	v := view(e, time.Now())
	if e.Phase == export.Queued {
		v.QueuePosition = h.queuePosition(r.Context(), e)
	}
	return writeJSON(w, http.StatusOK, v)
}

// queuePosition is e's place among the waiting exports, 1 for the next one;
// nil if it can't be told.
func (h *GetExport) queuePosition(ctx context.Context, e export.Export) *int {
	ahead, err := h.Jobs.Ahead(ctx, e)
	if err != nil {
		slog.WarnContext(ctx, "place in the queue not known", "exportId", e.ID, "traceparent", e.Traceparent, "error", err)
		return nil
	}
	return new(ahead + 1)
}

// exportView is an export as callers see it.
type exportView struct {
	ExportID string        `json:"exportId"`
	Status   export.Status `json:"status"`
	Phase    *export.Phase `json:"phase"`
	Done     bool          `json:"done"`
	// QueuePosition is told by GET /exports/{id}/status only: it takes a query.
	QueuePosition *int             `json:"queuePosition"`
	Dataset       string           `json:"dataset"`
	Request       requestView      `json:"request"`
	Progress      progressView     `json:"progress"`
	Error         *string          `json:"error"`
	ErrorCode     *export.Code     `json:"errorCode"`
	File          *fileView        `json:"file"`
	Files         *filesView       `json:"files"`
	Consistency   *consistencyView `json:"consistency"`
	Order         *export.Order    `json:"order"`
	Attempts      int              `json:"attempts"`
	CreatedAt     *time.Time       `json:"createdAt"`
	StartedAt     *time.Time       `json:"startedAt"`
	CompletedAt   *time.Time       `json:"completedAt"`
	ExpiresAt     *time.Time       `json:"expiresAt"`
}

// requestView is what was asked for, in normal form, but for the rows that the
// caller's claims limit it to.
type requestView struct {
	Filters  map[string][]string `json:"filters"`
	Columns  []string            `json:"columns"` // null for all
	Format   export.Format       `json:"format"`
	FileName *string             `json:"fileName"`
	// MaxRowsPerFile is null for one file.
	MaxRowsPerFile *int64 `json:"maxRowsPerFile"`
	// Destination is null for the service's own bucket.
	Destination *destinationView `json:"destination"`
}

// destinationView is where the file goes, as it was asked for.
type destinationView struct {
	Name   string  `json:"name"`
	Prefix *string `json:"prefix"` // null for none
}

type progressView struct {
	TotalRows     *int64 `json:"totalRows"`
	ProcessedRows int64  `json:"processedRows"`
	Percentage    int    `json:"percentage"`
	RowsPerSecond int64  `json:"rowsPerSecond"`
	SecondsLeft   *int64 `json:"secondsLeft"`
}

// fileView is the export's file, or the manifest of a split export.
type fileView struct {
	Name              string          `json:"name"`
	Bytes             int64           `json:"bytes"`
	UncompressedBytes int64           `json:"uncompressedBytes"`
	Checksum          export.Checksum `json:"checksum"`
	Location          *string         `json:"location"` // s3://BUCKET/KEY in a destination; null for the service's own bucket
}

// filesView is of the files of a split export, together.
type filesView struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

type consistencyView struct {
	Kind string    `json:"kind"`
	AsOf time.Time `json:"asOf"`
}

func view(e export.Export, now time.Time) exportView {
	v := exportView{
		ExportID: e.ID, Status: e.StatusAt(now), Phase: orNull(e.Phase), Done: e.Status.Done(), Dataset: e.Spec.Dataset,
		Request: viewRequest(e.Spec), Progress: viewProgress(e), Attempts: e.Attempt,
		CreatedAt: orNull(e.CreatedAt.UTC()), StartedAt: orNull(e.StartedAt), CompletedAt: orNull(e.CompletedAt), ExpiresAt: orNull(e.ExpiresAt),
	}
	if e.Failure != nil {
		v.Error, v.ErrorCode = &e.Failure.Message, &e.Failure.Code
	}
	if e.Snapshot != nil {
		v.Consistency = &consistencyView{Kind: "snapshot", AsOf: e.Snapshot.AsOf}
		v.Order = &e.Snapshot.Order
	}
	if e.Result != nil && e.Status.Done() {
		v.File = &fileView{Name: e.FileName(), Bytes: e.Result.Bytes, UncompressedBytes: e.Result.UncompressedBytes, Checksum: export.ChecksumOf(e.Result.CRC32), Location: orNull(e.Location())}
		if e.Result.Files > 0 {
			v.Files = &filesView{Count: e.Result.Files, Bytes: e.Result.FileBytes}
		}
	}
	return v
}

func viewRequest(s export.Spec) requestView {
	v := requestView{Filters: s.Filters, Columns: s.Columns, Format: s.FormatOrDefault(), FileName: orNull(s.FileName), MaxRowsPerFile: orNull(s.MaxRowsPerFile)}
	if s.Destination != nil {
		v.Destination = &destinationView{Name: s.Destination.Name, Prefix: orNull(s.Destination.Prefix)}
	}
	if v.Filters == nil {
		v.Filters = map[string][]string{}
	}
	return v
}

func viewProgress(e export.Export) progressView {
	p := progressView{
		TotalRows: e.Progress.TotalRows, ProcessedRows: e.Progress.ProcessedRows,
		Percentage: e.Percentage(), RowsPerSecond: e.Progress.RowsPerSecond,
	}
	switch {
	case e.Result != nil && e.Status.Done():
		p.TotalRows, p.ProcessedRows = &e.Result.Rows, e.Result.Rows
		p.SecondsLeft = new(int64)
		if took := e.CompletedAt.Sub(e.StartedAt).Seconds(); took > 0 {
			p.RowsPerSecond = int64(float64(e.Result.Rows) / took)
		}
	case p.TotalRows != nil && p.RowsPerSecond > 0 && !e.Status.Done():
		left := max(*p.TotalRows-p.ProcessedRows, 0)
		p.SecondsLeft = new((left + p.RowsPerSecond - 1) / p.RowsPerSecond)
	}
	return p
}

// orNull returns nil for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
