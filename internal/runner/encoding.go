package runner

import (
	"bufio"
	"io"

	"csvexport/internal/export"
	"csvexport/internal/gzipmember"
)

// encoding is how plain bytes become the file's, range by range.
type encoding struct {
	header  func() []byte
	trailer func(all gzipmember.Sum) []byte
	piece   func() piece
}

// piece encodes one range after the other, each on its own. It takes single
// rows and hands on many at a time.
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
			piece:   func() piece { return newPlainPiece() },
		}
	}
	return encoding{
		header:  gzipmember.Header,
		trailer: gzipmember.Trailer,
		piece:   func() piece { return gzipmember.NewPiece() },
	}
}

// plainBuffer is how many bytes of rows a plainPiece hands on at once.
const plainBuffer = 64 << 10

// plainPiece passes bytes on as they are, many rows at a time. It counts them,
// and leaves their checksum to the upload.
type plainPiece struct {
	out   *bufio.Writer
	bytes int64
}

func newPlainPiece() *plainPiece { return &plainPiece{out: bufio.NewWriterSize(nil, plainBuffer)} }

func (p *plainPiece) Reset(w io.Writer) {
	p.out.Reset(w)
	p.bytes = 0
}

func (p *plainPiece) Write(b []byte) (int, error) {
	n, err := p.out.Write(b)
	p.bytes += int64(n)
	return n, err
}

func (p *plainPiece) Close() (gzipmember.Sum, error) {
	return gzipmember.Sum{Bytes: p.bytes}, p.out.Flush()
}
