// Package publish is the commit protocol: how a file that is wholly uploaded
// becomes the object of a completed export, so that no crash in between
// leaves a completed export without its file, or a file without its export.
//
//  1. The result - rows, sizes, checksum, key - is recorded: phase finalizing.
//  2. The object appears under its key, by one conditional request.
//  3. A HEAD confirms that it is there, of the right size, with the export's
//     token.
//  4. The export becomes completed.
//
// A crash after 1 is repaired by Resume, which the sweeper calls.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/metrics"
	"csvexport/internal/queue"
)

// Publisher commits finished files.
type Publisher struct {
	Jobs    *jobs.Store
	Buckets *bucket.Buckets
	Notices *queue.Queue  // of exports of whose end somebody may have to be told
	FileTTL time.Duration // how long a file stays
}

// settleWithin is how long after an export's creation Resume may look for its
// file in vain, because the storage doesn't answer or forbids the look.
const settleWithin = 24 * time.Hour

// ErrUnresolved marks the errors after which it isn't known whether the file
// is there, or after which it is there and the export isn't completed. The
// worker must leave everything as it is: Resume settles it.
var ErrUnresolved = errors.New("whether the file was published is not settled")

// Commit publishes the sealed file of a running export that the caller has
// claimed, and completes the export. After an error that isn't ErrUnresolved
// there is no object, and the caller decides what becomes of the attempt.
func (p *Publisher) Commit(ctx context.Context, e export.Export, r export.Result, sealed bucket.Sealed) error {
	if err := p.Jobs.Finalize(ctx, e, r); err != nil {
		return err
	}
	e.Phase, e.Result = export.Finalizing, &r
	publishErr := p.Buckets.For(e).Publish(ctx, sealed)
	// The answer may be lost though the request went through, so only the key itself says what happened. That must be
	// known even if the worker was called off meanwhile.
	ctx = context.WithoutCancel(ctx)
	there, err := p.there(ctx, e)
	if err != nil {
		return errors.Join(ErrUnresolved, err, publishErr)
	}
	switch {
	case !there && publishErr == nil: // somebody removed it already: the export was cancelled
		return errors.Join(ErrUnresolved, fmt.Errorf("published object %s is missing", r.Key))
	case !there:
		return publishErr
	}
	err = p.complete(ctx, e)
	if export.CodeOf(err) == export.FenceLost {
		return p.disown(ctx, e, err)
	}
	if err != nil {
		return errors.Join(ErrUnresolved, err)
	}
	return nil
}

// Part publishes a sealed file of the split export e, which nothing names before
// the export's own publication. After an error it may be there all the same,
// and must be removed.
func (p *Publisher) Part(ctx context.Context, e export.Export, sealed bucket.Sealed) error {
	publishErr := p.Buckets.For(e).Publish(ctx, sealed)
	if publishErr == nil {
		return nil
	}
	there, err := p.isAt(ctx, e, sealed.Key, sealed.Size) // the answer may be lost
	if there {
		return nil
	}
	return errors.Join(publishErr, err)
}

// disown removes the published file of a worker that lost its claim, unless
// the export still names it: then it is wanted, or whoever has the claim now
// settles it.
func (p *Publisher) disown(ctx context.Context, e export.Export, lost error) error {
	now, err := p.Jobs.Get(ctx, e.ID)
	if err != nil {
		return errors.Join(ErrUnresolved, err, lost)
	}
	open := now.Status == export.Processing || now.Status == export.Completed
	if open && now.Result != nil && now.Result.Key == e.Result.Key {
		return errors.Join(ErrUnresolved, lost)
	}
	if err := p.Buckets.For(e).Delete(ctx, e.Result.Key); err != nil {
		return errors.Join(ErrUnresolved, err, lost)
	}
	return lost
}

// Resume ends what a worker began that died while finalizing: the caller has
// taken the export over. When the file is there the export is completed;
// otherwise the upload is aborted, so that it can't appear any more, and the
// export is released for another attempt. An export whose file can never be
// settled, or can't be for settleWithin, fails.
func (p *Publisher) Resume(ctx context.Context, e export.Export, dueAt time.Time) error {
	err := p.resume(ctx, e, dueAt)
	if export.CodeOf(err) == export.StorageUnavailable && time.Since(e.CreatedAt) > settleWithin {
		err = &export.Error{Code: export.StorageRejected, Message: "The storage didn't tell for a day whether the file is there.", Err: err}
	}
	if code := export.CodeOf(err); err != nil && code.Permanent() {
		failure := export.Failure{Code: code, Message: export.MessageOf(err)}
		if failErr := p.Jobs.Fail(ctx, e, failure, time.Now(), p.FileTTL); failErr != nil {
			return errors.Join(err, failErr)
		}
		p.Notices.Announce(ctx, e)
		metrics.Emit(ctx, slog.With(e.LogAttrs()...).With("code", code), metrics.Count(metrics.Failed))
	}
	return err
}

func (p *Publisher) resume(ctx context.Context, e export.Export, dueAt time.Time) error {
	there, err := p.there(ctx, e)
	if err != nil {
		return err
	}
	if there {
		return p.complete(ctx, e)
	}
	if e.Result.UploadID != "" {
		if err := p.Buckets.For(e).AbortUpload(ctx, e.Result.Key, e.Result.UploadID); err != nil {
			return err
		}
		// It may have been completed between the first look and the abort.
		if there, err = p.there(ctx, e); err != nil {
			return err
		}
		if there {
			return p.complete(ctx, e)
		}
	}
	if err := p.Jobs.Release(ctx, e, dueAt); err != nil {
		return err
	}
	// The worker that was given up may have published after the last look, and seen that the record still named its file.
	return p.Buckets.For(e).Delete(ctx, e.Result.Key)
}

// there reports whether the recorded file is the object under its key.
func (p *Publisher) there(ctx context.Context, e export.Export) (bool, error) {
	return p.isAt(ctx, e, e.Result.Key, e.Result.Bytes)
}

// isAt reports whether an object of e's, of this size, is under a key.
func (p *Publisher) isAt(ctx context.Context, e export.Export, key string, size int64) (bool, error) {
	head, err := p.Buckets.For(e).Head(ctx, key)
	if err != nil || !head.Exists {
		return false, err
	}
	// Nobody else writes under this key, so this takes a fault beyond the service.
	if head.Size != size || head.Token != e.Token {
		return false, &export.Error{
			Code: export.StorageRejected, Message: "Another file stands where the export's file belongs.",
			Err: fmt.Errorf("object %s has %d bytes and token %q, expected %d and %q",
				key, head.Size, head.Token, size, e.Token),
		}
	}
	return true, nil
}

// complete can't be called off: the file is there.
func (p *Publisher) complete(ctx context.Context, e export.Export) error {
	now := time.Now()
	if err := p.Jobs.Complete(context.WithoutCancel(ctx), e, now, now.Add(p.FileTTL)); err != nil {
		return err
	}
	p.Notices.Announce(ctx, e)
	metrics.Emit(ctx, slog.With(e.LogAttrs()...), metrics.Count(metrics.Completed),
		metrics.Value{Name: metrics.Rows, Value: float64(e.Result.Rows)}, metrics.Value{Name: metrics.Bytes, Value: float64(e.Result.Bytes + e.Result.FileBytes)},
		metrics.Seconds(metrics.TotalSeconds, max(now.Sub(e.CreatedAt), 0)))
	return nil
}
