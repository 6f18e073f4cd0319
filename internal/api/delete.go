package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/metrics"
	"csvexport/internal/queue"
)

// deleteTries bounds how often a delete looks again at an export that changes
// under it: it is claimed, released or completed just then.
const deleteTries = 5

// deleteTimeout bounds how long an answer waits for S3; the sweeper deletes
// what is left.
const deleteTimeout = 3 * time.Second

// DeleteExport answers DELETE /exports/{id}: it cancels an export that is
// being made, deletes the file of a completed one, and leaves every other as
// it is. The answer is 204 each time.
type DeleteExport struct {
	Jobs    *jobs.Store
	Buckets *bucket.Buckets
	Notices *queue.Queue // see publish.Publisher
	FileTTL time.Duration
}

func (h *DeleteExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

func (h *DeleteExport) serve(w http.ResponseWriter, r *http.Request) error {
	e, err := h.delete(r)
	audit(r, "delete", e, err)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// delete ends the export that the path names, and returns it as it was.
func (h *DeleteExport) delete(r *http.Request) (export.Export, error) {
	for try := 1; ; try++ {
		e, err := find(r, h.Jobs)
		if err != nil {
			return export.Export{}, err
		}
		err = h.end(r.Context(), e)
		if export.CodeOf(err) == export.Conflict && try < deleteTries {
			continue
		}
		if export.CodeOf(err) == export.Conflict {
			return e, &export.Error{Code: export.Unavailable, Message: "The export changes just now. Please try again.", Err: err}
		}
		return e, err
	}
}

func (h *DeleteExport) end(ctx context.Context, e export.Export) error {
	switch e.StatusAt(time.Now()) {
	case export.Processing:
		if err := h.Jobs.Cancel(ctx, e, time.Now(), h.FileTTL); err != nil {
			return err
		}
		h.Notices.Announce(ctx, e)
		log := slog.With(e.LogAttrs()...).With("phase", e.Phase)
		log.InfoContext(ctx, "export cancelled")
		metrics.Emit(ctx, log, metrics.Count(metrics.Cancelled))
		return nil
	case export.Completed:
		if err := h.Jobs.Delete(ctx, e, time.Now()); err != nil {
			return err
		}
		h.removeFile(ctx, e)
		return nil
	case export.Deleted:
		if !e.DueAt.IsZero() { // it may not have come so far
			h.removeFile(ctx, e)
		}
		return nil
	default:
		return nil
	}
}

// removeFile deletes a deleted export's file, or files, at once; whatever else there may
// be is left to the sweeper, and so is the file if S3 is away.
func (h *DeleteExport) removeFile(ctx context.Context, e export.Export) {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	files := h.Buckets.For(e)
	err := files.Delete(ctx, e.Result.Key)
	if err == nil && e.Result.Files > 0 {
		err = files.DeleteMany(ctx, e.PartKeys(e.AttemptOf(e.Result.Key), e.Result.Files))
	}
	if err != nil {
		slog.WarnContext(ctx, "file not deleted, left to the sweeper", "exportId", e.ID, "traceparent", e.Traceparent, "error", err)
	}
}
