package gzipmember

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
)

const (
	// chunkSize is how many bytes are compressed at once: what a stored block
	// can hold (RFC 1951, 3.2.4).
	chunkSize = 1<<16 - 1
	// windowSize is how far back a match may lie (RFC 1951, 2).
	windowSize = 32 << 10
	// bufferSize holds a window, a chunk, and room so that the window is moved
	// for every third chunk only.
	bufferSize = 4 << 16

	// chunksPerCode is how many chunks share a block and its codes, unless they
	// compress worse than the first of them by a part of 1/driftLimit.
	chunksPerCode = 128
	driftLimit    = 16

	// maxStep bounds the steps where nothing is found, so that bytes that can't
	// be compressed are found when they come again.
	maxStep = 16

	hashBits = 15
	minMatch = 4
	maxMatch = 258
	// probed is how many bytes are looked at from a position on.
	probed = 9
)

// deflater compresses to blocks of deflate (RFC 1951) that end, on flush, on a
// byte boundary. It is made for text in rows: it knows the latest place of each
// four bytes only, and makes Huffman codes for many chunks rather than for
// each, since rows are like those before them. So most chunks are written in one
// pass, as they are searched. What can't be compressed is stored.
//
// What it writes depends on the bytes since the last reset alone, not on how
// they were divided into writes.
type deflater struct {
	w   io.Writer
	out bitWriter

	// buf holds what matches may refer to and then, from start to end, the
	// chunk. Behind it is room for reading eight bytes anywhere.
	buf        [bufferSize + 8]byte
	start, end int
	origin     uint16                // the place of buf[0] in the piece, modulo 2^16
	latest     [1 << hashBits]uint16 // the latest place of four bytes, by their hash

	sum Sum // of the bytes before start

	codes   codes
	inBlock bool // a block of these codes is open
	left    int  // chunks that may still be added to it
	rate    int  // bits that its first chunk took
}

func (d *deflater) reset(w io.Writer) {
	d.w = w
	d.out.bitPlace = bitPlace{}
	d.start, d.end, d.origin = 0, 0, 0
	clear(d.latest[:]) // a place in the piece before could show
	d.inBlock, d.left = false, 0
	d.sum = Sum{}
}

func (d *deflater) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		if d.start+chunkSize > bufferSize {
			d.slide()
		}
		n := copy(d.buf[d.end:d.start+chunkSize], p[written:])
		d.end += n
		written += n
		if d.end == d.start+chunkSize {
			d.compress()
			if err := d.out.drain(d.w); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// flush compresses what is left and ends on a byte boundary, by an empty
// stored block.
func (d *deflater) flush() error {
	if d.end > d.start {
		d.compress()
	}
	d.endBlock()
	d.out.stored(nil)
	return d.out.drain(d.w)
}

// slide moves the window to the buffer's beginning.
func (d *deflater) slide() {
	from := max(d.start-windowSize, 0)
	copy(d.buf[:], d.buf[from:d.end])
	d.start, d.end = d.start-from, d.end-from
	d.origin += uint16(from) //nolint:gosec // modulo 2^16
}

// compress writes the chunk: in the open block, if that still suits it, or in
// another one.
func (d *deflater) compress() {
	chunk := d.buf[d.start:d.end]
	if !d.inBlock || d.left == 0 {
		d.endBlock()
		d.begin(chunk)
	} else {
		before := d.out.bitPlace
		d.pass(nil)
		d.left--
		switch used := d.out.bits() - before.bits(); {
		case used > storedBits(len(chunk)):
			d.out.bitPlace = before
			d.endBlock()
			d.out.stored(chunk)
		case used > d.rate+d.rate/driftLimit:
			d.left = 0
		}
	}
	d.sum = Sum{CRC32: crc32.Update(d.sum.CRC32, crc32.IEEETable, chunk), Bytes: d.sum.Bytes + int64(len(chunk))}
	d.start = d.end
}

// begin makes codes for the chunk and begins a block of them with it; or it
// stores the chunk, if that takes less.
func (d *deflater) begin(chunk []byte) {
	before := d.out.bitPlace
	var n counts
	d.pass(&n)
	d.out.bitPlace = before // only the counts were asked for
	d.codes.fit(&n)
	if d.codes.cost > storedBits(len(chunk)) {
		d.out.stored(chunk)
		return
	}
	d.codes.writeHeader(&d.out)
	before = d.out.bitPlace
	d.pass(nil)
	// The chunks to come are as long, but for the piece's last.
	d.inBlock, d.left, d.rate = true, chunksPerCode-1, d.out.bits()-before.bits()
}

func (d *deflater) endBlock() {
	if d.inBlock {
		code := d.codes.literal[endOfBlock]
		d.out.add(uint64(code&codeMask), uint(code>>codeBits))
		d.inBlock = false
	}
}

// pass divides the chunk into literals and matches, and writes them in the
// codes. It adds them to n, unless that is nil.
//
// It is one long loop so that its state stays in registers: this is where most of
// an export's time in this program goes. It searches two places at once, since
// waiting for the memory and guessing branches wrong is most of the work. Where
// nothing is found for long it takes longer steps.
func (d *deflater) pass(n *counts) { //nolint:funlen // see above
	c, out, latest, end, origin := &d.codes, &d.out.bytes, &d.latest, d.end, d.origin
	at, pending, count := d.out.at, d.out.pending, d.out.count
	next := d.start // the first byte that isn't written
	for s := next; next < end; {
		distance, after := 0, end
		if s > end-probed {
			s = end // only literals are left
		} else {
			x := d.load(s)
			place := uint16(s) + origin //nolint:gosec // modulo 2^16
			h, h2 := hash(x), hash(x>>8)
			distance = int(place - latest[h])
			distance2 := int(place + 1 - latest[h2])
			latest[h], latest[h2] = place, place+1
			difference := d.difference(x, s, distance)
			if uint32(difference) != 0 { //nolint:gosec // four bytes of it
				s, distance = s+1, distance2
				difference = d.difference(d.load(s), s, distance)
				if uint32(difference) != 0 { //nolint:gosec // four bytes of it
					s += 2 + min((s-next)>>5, maxStep)
					continue
				}
			}
			t := s - distance
			if difference != 0 {
				after = s + bits.TrailingZeros64(difference)/8
			} else {
				after = s + 8 + commonLength(d.buf[s+8:end], d.buf[t+8:end])
			}
			for s > next && t > 0 && d.buf[s-1] == d.buf[t-1] {
				s, t = s-1, t-1
			}
		}
		literals := d.buf[next:s]
		if n != nil {
			n.add(literals, after-s, distance)
		}
		for len(literals) >= 3 { // at most 7 pending bits and three times 15
			c0, c1, c2 := c.literal[literals[0]], c.literal[literals[1]], c.literal[literals[2]]
			literals = literals[3:]
			pending |= uint64(c0&codeMask) << (count & 63)
			count += uint(c0 >> codeBits)
			pending |= uint64(c1&codeMask) << (count & 63)
			count += uint(c1 >> codeBits)
			pending |= uint64(c2&codeMask) << (count & 63)
			count += uint(c2 >> codeBits)
			at, pending, count = store(out, at, pending, count)
		}
		for _, b := range literals {
			code := c.literal[b]
			pending |= uint64(code&codeMask) << (count & 63)
			count += uint(code >> codeBits)
		}
		at, pending, count = store(out, at, pending, count)
		if s < after {
			symbol, extra, extraCount := distanceSymbol(distance)
			code := c.distance[symbol%32]
			how := uint64(code&codeMask) | uint64(extra)<<(code>>codeBits&31)
			howCount := uint(code>>codeBits) + extraCount
			for s < after { // at most 7 pending bits, 15 and 5, 15 and 13
				length := matchLength(after - s)
				code = c.length[uint8(length-minLength)] //nolint:gosec // at most maxMatch
				pending |= uint64(code&codeMask) << (count & 63)
				count += uint(code >> codeBits)
				pending |= how << (count & 63)
				count += howCount
				at, pending, count = store(out, at, pending, count)
				if s += length; s <= end-probed {
					x, place := d.load(s-2), uint16(s-2)+origin //nolint:gosec // modulo 2^16
					latest[hash(x)], latest[hash(x>>8)] = place, place+1
				}
			}
		}
		next = s
	}
	d.out.bitPlace = bitPlace{at, pending, count}
}

// load returns the eight bytes at i, which is in the buffer: the mask is for
// the compiler to know it.
func (d *deflater) load(i int) uint64 {
	i &= bufferSize - 1
	return binary.LittleEndian.Uint64(d.buf[i : i+8])
}

// hash is of the first four bytes of x.
func hash(x uint64) uint32 { return uint32(x) * 0x9E3779B1 >> (32 - hashBits) } //nolint:gosec // four bytes of it

// difference compares the eight bytes at s with those distance before: bits
// that aren't 0 differ. All do where there is nothing to refer to.
func (d *deflater) difference(x uint64, s, distance int) uint64 {
	if uint(distance-1) >= windowSize || distance > s {
		return ^uint64(0)
	}
	return x ^ d.load(s-distance)
}

// matchLength is how many of a match's bytes are written at once, when rest of
// them are left: what remains must be enough for a match, too.
func matchLength(rest int) int {
	if rest > maxMatch {
		return min(maxMatch, rest-minMatch)
	}
	return rest
}

// commonLength is the number of bytes that a and b, which is longer, have in
// common at their beginning.
func commonLength(a, b []byte) int {
	n := 0
	for ; n+8 <= len(a); n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}
