package runner

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/gzipmember"
)

// splitFiles cuts the rows into files of Spec.MaxRowsPerFile rows. How many
// rows a range has is known only when it is copied, so ranges come as they
// are, each row behind its length, and are encoded here, one after the other:
// one core packs rows faster than a database gives them.
//
// A file is published as soon as it is whole, under a key of its attempt that
// nobody is told. The manifest, which lists them, is the object whose
// publication is the export's: see package publish.
type splitFiles struct {
	runner   *Runner
	ctx      context.Context //nolint:containedctx // of the attempt, as bucket.Upload's
	export   export.Export
	sel      dataset.Selection
	progress *progress
	enc      encoding
	piece    piece

	frames   frames
	before   int    // frames that are no rows and still to come: byte order mark, header
	preamble []byte // those that came: each file begins with them

	open   *splitFile // nil between files
	size   int64      // of the files that are published
	files  []export.ManifestFile
	upload *bucket.Upload // of the manifest
}

// splitFile is the file that rows are written to.
type splitFile struct {
	upload *bucket.Upload
	out    *limited
	rows   int64
}

func newSplitFiles(ctx context.Context, r *Runner, e export.Export, sel dataset.Selection, p *progress) *splitFiles {
	enc := encodingOf(sel.Format.Compression)
	s := &splitFiles{runner: r, ctx: ctx, export: e, sel: sel, progress: p, enc: enc, piece: enc.piece()}
	if sel.Format.BOM {
		s.before++
	}
	if sel.Format.Header {
		s.before++
	}
	return s
}

func (s *splitFiles) encoding() encoding {
	return encoding{piece: func() piece { return &framedPiece{out: bufio.NewWriterSize(nil, plainBuffer)} }}
}

func (s *splitFiles) begin() error { return nil }

func (s *splitFiles) Write(p []byte) (int, error) { return len(p), s.frames.take(p, s.row) }

// row takes one row, or what comes before all rows.
func (s *splitFiles) row(p []byte) error {
	if s.before > 0 {
		s.before--
		s.preamble = append(s.preamble, p...)
		return nil
	}
	if s.open != nil && s.open.rows == s.export.Spec.MaxRowsPerFile {
		if err := s.finish(); err != nil {
			return err
		}
	}
	if s.open == nil {
		if err := s.start(); err != nil {
			return err
		}
	}
	s.open.rows++
	_, err := s.piece.Write(p)
	return err
}

// start begins the next file.
func (s *splitFiles) start() error {
	expected := int64(len(s.files) + 1)
	if total := s.progress.total.Load(); total > 0 {
		expected = max(expected, (total+s.export.Spec.MaxRowsPerFile-1)/s.export.Spec.MaxRowsPerFile)
	}
	if expected > export.MaxFiles {
		return export.Errorf(export.FileLimit, "The export would have more than %d files. Ask for more rows in each, or for fewer rows.", export.MaxFiles)
	}
	upload := s.runner.newUpload(s.ctx, s.export, s.export.PartKey(s.export.Attempt, len(s.files)+1), s.sel.Format.ContentType())
	s.open = &splitFile{upload: upload, out: &limited{out: upload, limit: bucket.MaxSize, dataset: s.sel.Limits.Bytes, written: s.size, progress: &progress{}}}
	if _, err := s.open.out.Write(s.enc.header()); err != nil {
		return err
	}
	s.piece.Reset(s.open.out)
	_, err := s.piece.Write(s.preamble)
	return err
}

// finish ends the open file and publishes it.
func (s *splitFiles) finish() error {
	sum, err := s.piece.Close()
	if err != nil {
		return err
	}
	if _, err := s.open.out.Write(s.enc.trailer(sum)); err != nil {
		return err
	}
	sealed, err := s.open.upload.Seal()
	if err != nil {
		return err
	}
	if err := s.runner.Publisher.Part(s.ctx, s.export, sealed); err != nil {
		return err
	}
	number := len(s.files) + 1
	s.files = append(s.files, export.ManifestFile{
		Number: number, Name: s.export.PartName(number), Rows: s.open.rows,
		UncompressedBytes: sum.Bytes, Bytes: sealed.Size, Checksum: export.ChecksumOf(sealed.CRC32),
	})
	s.size += sealed.Size
	s.open = nil
	return nil
}

// end finishes the last file; an export of no rows has one, too.
func (s *splitFiles) end(gzipmember.Sum) error {
	if s.frames.pending() {
		return errors.New("the last row isn't whole")
	}
	if s.open == nil && len(s.files) == 0 {
		if err := s.start(); err != nil {
			return err
		}
	}
	if s.open == nil {
		return nil
	}
	return s.finish()
}

func (s *splitFiles) seal(total rangeResult, snap export.Snapshot) (export.Result, bucket.Sealed, error) {
	m := export.Manifest{
		Version: export.ManifestVersion, ExportID: s.export.ID, Dataset: s.export.Spec.Dataset, AsOf: snap.AsOf.UTC().Truncate(time.Millisecond), Order: snap.Order, // as the record has it
		Bytes: s.size, MaxRowsPerFile: s.export.Spec.MaxRowsPerFile, Files: s.files,
	}
	for _, f := range s.files {
		m.Rows += f.Rows
		m.UncompressedBytes += f.UncompressedBytes
	}
	if m.Rows != total.Rows {
		return export.Result{}, bucket.Sealed{}, fmt.Errorf("the files have %d rows, the ranges %d", m.Rows, total.Rows)
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	s.upload = s.runner.newUpload(s.ctx, s.export, s.export.Key(s.export.Attempt), "application/json")
	if _, err := s.upload.Write(append(text, '\n')); err != nil {
		return export.Result{}, bucket.Sealed{}, err
	}
	sealed, err := s.upload.Seal()
	return export.Result{
		Rows: m.Rows, UncompressedBytes: m.UncompressedBytes, Bytes: sealed.Size, CRC32: sealed.CRC32, Key: sealed.Key, UploadID: sealed.UploadID,
		Files: len(s.files), FileBytes: s.size,
	}, sealed, err
}

// abort removes the files that were published, too: nothing names them. Once
// the manifest may have been sent, something can: S3 may get to that request
// after all, and the sweep complete the export by it. Then they are left to the
// sweep, which removes what no completed export has.
func (s *splitFiles) abort(ctx context.Context) error {
	if s.upload != nil {
		return s.upload.Abort(ctx)
	}
	var err error
	if s.open != nil {
		err = s.open.upload.Abort(ctx)
	}
	// One more than is known to be there: its answer may be what was lost.
	number := min(len(s.files)+1, export.MaxFiles)
	return errors.Join(err, s.runner.Buckets.For(s.export).DeleteMany(ctx, s.export.PartKeys(s.export.Attempt, number)))
}

// lengthSize is how many bytes a row's length takes before it.
const lengthSize = 4

// framedPiece hands rows on as they are, each behind its length, so that they
// can be told from each other again.
type framedPiece struct {
	out   *bufio.Writer
	bytes int64
}

func (p *framedPiece) Reset(w io.Writer) {
	p.out.Reset(w)
	p.bytes = 0
}

// Write takes one row; nothing is no row.
func (p *framedPiece) Write(row []byte) (int, error) {
	if len(row) == 0 {
		return 0, nil
	}
	var length [lengthSize]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(row))) //nolint:gosec // Postgres's own bound of a row is 1 GiB
	if _, err := p.out.Write(length[:]); err != nil {
		return 0, err
	}
	p.bytes += int64(len(row))
	return p.out.Write(row)
}

func (p *framedPiece) Close() (gzipmember.Sum, error) {
	return gzipmember.Sum{Bytes: p.bytes}, p.out.Flush()
}

// frames finds the rows in what framed pieces handed on, however it is cut.
type frames struct {
	kept []byte // the beginning of a row whose rest is still to come
}

func (f *frames) pending() bool { return len(f.kept) > 0 }

// take calls row for each row that is whole with p. A row that lies in p as a
// whole isn't copied.
func (f *frames) take(p []byte, row func([]byte) error) error {
	for len(p) > 0 {
		if len(f.kept) == 0 {
			if n := whole(p); n > 0 {
				if err := row(p[lengthSize:n]); err != nil {
					return err
				}
				p = p[n:]
				continue
			}
		}
		// As far as the length, then as far as the row.
		want := lengthSize
		if len(f.kept) >= lengthSize {
			want = lengthSize + int(binary.BigEndian.Uint32(f.kept))
		}
		n := min(want-len(f.kept), len(p))
		f.kept, p = append(f.kept, p[:n]...), p[n:]
		if n := whole(f.kept); n > 0 {
			if err := row(f.kept[lengthSize:n]); err != nil {
				return err
			}
			f.kept = f.kept[:0]
		}
	}
	return nil
}

// whole is the length of the frame that p begins with, or 0 if p hasn't all
// of it.
func whole(p []byte) int {
	if len(p) < lengthSize {
		return 0
	}
	n := lengthSize + int(binary.BigEndian.Uint32(p))
	if len(p) < n {
		return 0
	}
	return n
}
