package gzipmember

import (
	"encoding/binary"
	"io"
)

// outSize is more than a chunk can come to in the worst of codes, 15 bits for
// each byte, with a block's header and the end of the piece. It is a power of
// two; see store.
const outSize = 1 << 17

// bitWriter packs bits as deflate does: the first bit is the lowest of the
// first byte (RFC 1951, 3.1.1).
type bitWriter struct {
	bytes [outSize + 8]byte // filled up to at, and with the pending bits
	bitPlace
}

// bitPlace is where the next bit goes.
type bitPlace struct {
	at      int
	pending uint64
	count   uint // of the pending bits; less than 8
}

// bits is how many bits there are before the place.
func (p bitPlace) bits() int { return p.at*8 + int(p.count) }

// add writes the lowest n bits of v, whose other bits are 0; n is at most 48.
func (w *bitWriter) add(v uint64, n uint) {
	w.at, w.pending, w.count = store(&w.bytes, w.at, w.pending|v<<w.count, w.count+n)
}

// store writes the pending bits at their place and returns what is pending
// behind the whole bytes of them. The mask is for the compiler to know that
// at is below outSize.
func store(bytes *[outSize + 8]byte, at int, pending uint64, count uint) (nextAt int, rest uint64, left uint) {
	at &= outSize - 1
	binary.LittleEndian.PutUint64(bytes[at:at+8], pending)
	return at + int(count>>3), pending >> (count &^ 7 & 63), count & 7
}

// stored writes a stored block (RFC 1951, 3.2.4) of at most chunkSize bytes,
// which isn't the last one. It ends on a byte boundary.
func (w *bitWriter) stored(p []byte) {
	w.add(0, 3) // not final, no compression
	w.add(0, -w.count&7)
	w.add(uint64(len(p))|uint64(^uint16(len(p)))<<16, 32) //nolint:gosec // at most chunkSize
	w.at += copy(w.bytes[w.at:], p)
}

// storedBits is what a stored block of n bytes takes at most.
func storedBits(n int) int { return 3 + 7 + 32 + 8*n }

// drain passes the whole bytes on.
func (w *bitWriter) drain(to io.Writer) error {
	_, err := to.Write(w.bytes[:w.at])
	w.at = 0
	return err
}
