// Package gzipmember makes one ordinary gzip member out of pieces that were
// deflated independently of each other, so that several workers can compress
// one file and every reader reads it to its end.
//
// A file is Header, the pieces in order, and Trailer of the pieces' combined
// Sum (RFC 1952). Each piece ends with an empty stored block on a byte
// boundary (the "sync flush" of RFC 1951 and zlib's manual), so pieces can be
// put one after the other; the last block of the member is Trailer's.
package gzipmember

import (
	"encoding/binary"
	"io"
)

// Header is the member's header: deflate, no name, no modification time, so
// that equal rows make equal bytes; "fastest" as a hint; unknown system.
func Header() []byte {
	return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}
}

// Trailer ends the member: an empty final block, the CRC-32 and the length
// modulo 2^32 of all plain bytes.
func Trailer(s Sum) []byte {
	b := []byte{0x03, 0x00} // final block of fixed codes that holds nothing but its end
	b = binary.LittleEndian.AppendUint32(b, s.CRC32)
	return binary.LittleEndian.AppendUint32(b, uint32(s.Bytes)) //nolint:gosec // modulo 2^32 is what RFC 1952 asks for
}

// Sum is the checksum and length of plain bytes. The zero value is the sum of
// no bytes.
type Sum struct {
	CRC32 uint32 // IEEE polynomial
	Bytes int64
}

// Append returns the sum of the bytes of s followed by those of next.
func (s Sum) Append(next Sum) Sum {
	return Sum{CRC32: Combine(s.CRC32, next.CRC32, next.Bytes), Bytes: s.Bytes + next.Bytes}
}

// Piece deflates one piece after the other, each on its own: no piece refers
// back to bytes of another, and equal pieces are equal in every byte. It is not
// safe for concurrent use.
type Piece struct{ deflate deflater }

// NewPiece returns a writer of pieces. Reset it before the first use.
func NewPiece() *Piece { return &Piece{} }

// Reset begins a new piece, whose compressed bytes go to w.
func (p *Piece) Reset(w io.Writer) { p.deflate.reset(w) }

// Write compresses b, which may be as short as a row. It returns the errors of
// the underlying writer, which gets many bytes at a time.
func (p *Piece) Write(b []byte) (int, error) { return p.deflate.Write(b) }

// Close ends the piece on a byte boundary and returns the sum of its plain
// bytes. A piece of no bytes is valid.
func (p *Piece) Close() (Sum, error) {
	err := p.deflate.flush()
	return p.deflate.sum, err
}
