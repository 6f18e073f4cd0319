package runner

import (
	"context"
	"io"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/gzipmember"
)

// output is where the rows of an export go: into one file, or into several.
type output interface {
	// encoding is how ranges are encoded for Write.
	encoding() encoding
	// begin and end are called before the first range and after the last one.
	begin() error
	end(all gzipmember.Sum) error
	// Write takes the encoded ranges, in their order.
	io.Writer
	// seal returns the result with the object whose publication is the
	// export's, after which the rest is there as well.
	seal(total rangeResult, s export.Snapshot) (export.Result, bucket.Sealed, error)
	// abort removes what there is, unless it was published by the caller.
	abort(ctx context.Context) error
}

func (r *Runner) newOutput(ctx context.Context, e export.Export, sel dataset.Selection, p *progress) output {
	if e.Spec.MaxRowsPerFile > 0 {
		return newSplitFiles(ctx, r, e, sel, p)
	}
	upload := r.newUpload(ctx, e, e.Key(e.Attempt), sel.Format.ContentType())
	return &oneFile{
		upload: upload, enc: encodingOf(sel.Format.Compression),
		limited: &limited{out: upload, limit: bucket.MaxSize, dataset: sel.Limits.Bytes, progress: p},
	}
}

// newUpload begins an upload of the attempt, whose id is recorded.
func (r *Runner) newUpload(ctx context.Context, e export.Export, key, contentType string) *bucket.Upload {
	return r.Buckets.For(e).NewUpload(ctx, bucket.Object{Key: key, Token: e.Token, ContentType: contentType},
		func(ctx context.Context, id string) error { return r.Jobs.RecordUpload(ctx, e, id) })
}

// oneFile is one object, whose ranges are encoded where they are copied.
type oneFile struct {
	*limited

	upload *bucket.Upload
	enc    encoding
}

func (f *oneFile) encoding() encoding { return f.enc }

func (f *oneFile) begin() error {
	_, err := f.Write(f.enc.header())
	return err
}

func (f *oneFile) end(all gzipmember.Sum) error {
	_, err := f.Write(f.enc.trailer(all))
	return err
}

func (f *oneFile) seal(total rangeResult, _ export.Snapshot) (export.Result, bucket.Sealed, error) {
	sealed, err := f.upload.Seal()
	return export.Result{
		Rows: total.Rows, UncompressedBytes: total.Sum.Bytes,
		Bytes: sealed.Size, CRC32: sealed.CRC32, Key: sealed.Key, UploadID: sealed.UploadID,
	}, sealed, err
}

func (f *oneFile) abort(ctx context.Context) error { return f.upload.Abort(ctx) }
