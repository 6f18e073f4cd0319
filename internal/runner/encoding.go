package runner

import (
	"io"

	"csvexport/internal/export"
	"csvexport/internal/gzipmember"
)

// compressionLevel is deflate's fastest: level 6 makes files 8 % smaller and
// takes 30 % longer.
const compressionLevel = 1

// encoding is how plain bytes become the file's, range by range.
type encoding struct {
	header  func() []byte
	trailer func(all gzipmember.Sum) []byte
	piece   func() (piece, error)
}

// piece encodes one range after the other, each on its own.
type piece interface {
	Reset(w io.Writer)
	io.Writer
	Close() (gzipmember.Sum, error) // of the plain bytes
}

func encodingOf(c export.Compression) encoding {
	if c == export.NoCompression {
		nothing := func() []byte { return nil }
		return encoding{
			header:  nothing,
			trailer: func(gzipmember.Sum) []byte { return nothing() },
			piece:   func() (piece, error) { return &plainPiece{}, nil },
		}
	}
	return encoding{
		header:  gzipmember.Header,
		trailer: gzipmember.Trailer,
		piece:   func() (piece, error) { return gzipmember.NewPiece(compressionLevel) },
	}
}

// plainPiece passes bytes on as they are. It counts them, and leaves their
// checksum to the upload.
type plainPiece struct {
	w     io.Writer
	bytes int64
}

func (p *plainPiece) Reset(w io.Writer) { p.w, p.bytes = w, 0 }

func (p *plainPiece) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.bytes += int64(n)
	return n, err
}

func (p *plainPiece) Close() (gzipmember.Sum, error) { return gzipmember.Sum{Bytes: p.bytes}, nil }
