package gzipmember

import (
	"math/bits"
	"slices"
)

// The alphabets of deflate (RFC 1951, 3.2.5 and 3.2.7).
const (
	literalSymbols  = 286 // bytes, the end of a block, lengths
	distanceSymbols = 30
	lengthSymbols   = 19 // of the code that codes' lengths are written in
	endOfBlock      = 256
	minLength       = 3 // of a match that can be written
	maxCode         = 15
	maxLengthCode   = 7
)

// A code is held in one word: its bits, as they are written, and above them
// their number. The code of a match's length has its extra bits with it.
const (
	codeBits = 24
	codeMask = 1<<codeBits - 1
)

// lengthSymbol is the symbol of a match's length, less endOfBlock + 1, and
// lengthExtra its extra bits, both by length - minLength (RFC 1951, 3.2.5).
var lengthSymbol, lengthExtra, lengthBase = func() (symbol, extra [256]uint8, base [29]uint8) {
	length := 0
	for s := range 28 {
		n := uint8(max(s/4-1, 0))
		base[s] = uint8(length)
		for range 1 << n {
			if length < 255 { // the last has a symbol of its own
				symbol[length], extra[length] = uint8(s), n
			}
			length++
		}
	}
	symbol[255], extra[255], base[28] = 28, 0, 255
	return symbol, extra, base
}()

// distanceSymbol is the symbol of a match's distance, from 1 to windowSize,
// and the extra bits behind it with their number (RFC 1951, 3.2.5).
func distanceSymbol(distance int) (symbol, extra uint32, n uint) {
	d := uint32(distance - 1) //nolint:gosec // at most windowSize
	if d < 4 {
		return d, 0, 0
	}
	n = uint(bits.Len32(d)) - 2
	return uint32(2*n+2) + d>>n&1, d & (1<<n - 1), n //nolint:gosec // n is at most 13
}

// codes are the Huffman codes of a block. Every symbol has one, so that the
// block can be gone on with, whatever comes.
type codes struct {
	literal  [literalSymbols]uint32
	length   [256]uint32 // by length - minLength
	distance [32]uint32  // two aren't used
	cost     int         // bits of the chunk that they were made for, with the header

	lengths    [literalSymbols + distanceSymbols]uint8 // of all codes, as the header lists them
	header     []headerEntry
	headerCode [lengthSymbols]uint32
	coder      coder
}

// headerEntry is a symbol of the code that the lengths are written in.
type headerEntry struct{ symbol, repeat uint8 }

// counts are how often each symbol is written.
type counts struct {
	literal  [literalSymbols]uint32
	distance [distanceSymbols]uint32
	extra    int // bits behind symbols
}

// add counts literals and a match behind them, which may have no length.
func (n *counts) add(literals []byte, length, distance int) {
	for _, b := range literals {
		n.literal[b]++
	}
	if length == 0 {
		return
	}
	symbol, _, extra := distanceSymbol(distance)
	for length > 0 {
		m := matchLength(length)
		l := uint8(m - minLength) //nolint:gosec // at most 255
		n.literal[endOfBlock+1+int(lengthSymbol[l])]++
		n.distance[symbol]++
		n.extra += int(lengthExtra[l]) + int(extra)
		length -= m
	}
}

// fit makes codes for a chunk whose symbols were counted.
func (c *codes) fit(n *counts) {
	c.cost = n.extra
	c.make(c.literal[:], c.lengths[:literalSymbols], n.literal[:])
	c.make(c.distance[:distanceSymbols], c.lengths[literalSymbols:], n.distance[:])
	for l := range c.length {
		symbol := lengthSymbol[l]
		code := c.literal[endOfBlock+1+int(symbol)]
		n := code >> codeBits
		more := uint32(uint8(l) - lengthBase[symbol])
		c.length[l] = code&codeMask | more<<n | (n+uint32(lengthExtra[l]))<<codeBits
	}
	c.fitHeader()
}

// make makes the codes of one alphabet, for symbols of which there were count.
func (c *codes) make(words []uint32, lengths []uint8, count []uint32) {
	for i := range count {
		count[i] = count[i]*16 + 1 // what hasn't been may still come
	}
	c.coder.lengths(lengths, count, maxCode)
	canonical(words, lengths)
	for i, n := range lengths {
		c.cost += int(n) * int(count[i]/16)
	}
}

// fitHeader prepares the block's header: the codes' lengths, with a symbol
// (16) for three to six of the same again, and the code that they are written in.
func (c *codes) fitHeader() {
	c.header = c.header[:0]
	count := [lengthSymbols]uint32{0: 1, 16: 1} // a code needs two symbols
	add := func(e headerEntry) {
		c.header = append(c.header, e)
		count[e.symbol]++
	}
	for rest := c.lengths[:]; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n] == rest[0] {
			n++
		}
		add(headerEntry{symbol: rest[0]})
		for left := n - 1; left > 0; {
			if left < 3 {
				add(headerEntry{symbol: rest[0]})
				left--
				continue
			}
			repeat := min(left, 6)
			add(headerEntry{16, uint8(repeat)})
			left -= repeat
		}
		rest = rest[n:]
	}
	var lengths [lengthSymbols]uint8
	c.coder.lengths(lengths[:], count[:], maxLengthCode)
	canonical(c.headerCode[:], lengths[:])
	c.cost += 3 + 5 + 5 + 4 + 3*lengthSymbols
	for _, e := range c.header {
		c.cost += int(lengths[e.symbol])
		if e.symbol == 16 {
			c.cost += 2
		}
	}
}

// lengthOrder is the order in which the lengths of the lengths' own code
// stand (RFC 1951, 3.2.7).
var lengthOrder = [lengthSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// writeHeader begins a block of the codes, which isn't the last one.
func (c *codes) writeHeader(w *bitWriter) {
	w.add(0|2<<1, 3) // not final, dynamic codes
	w.add(literalSymbols-257|(distanceSymbols-1)<<5|(lengthSymbols-4)<<10, 14)
	for _, s := range lengthOrder {
		w.add(uint64(c.headerCode[s]>>codeBits), 3)
	}
	for _, e := range c.header {
		w.add(uint64(c.headerCode[e.symbol]&codeMask), uint(c.headerCode[e.symbol]>>codeBits))
		if e.symbol == 16 {
			w.add(uint64(e.repeat-3), 2)
		}
	}
}

// canonical gives each symbol its code, by the codes' lengths (RFC 1951,
// 3.2.2), with the bits in the order in which they are written.
func canonical(words []uint32, lengths []uint8) {
	var count, next [maxCode + 1]uint32
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	for n := 1; n <= maxCode; n++ {
		next[n] = (next[n-1] + count[n-1]) << 1
	}
	for i, n := range lengths {
		words[i] = 0
		if n > 0 {
			words[i] = uint32(bits.Reverse16(uint16(next[n]))>>(16-n)) | uint32(n)<<codeBits //nolint:gosec // at most 15 bits
			next[n]++
		}
	}
}

// coder makes Huffman codes. Its memory is used again.
type coder struct {
	leaves []uint64 // count, and below it the symbol, in 16 bits
	nodes  [literalSymbols]struct {
		count       uint64
		left, right int // below len(leaves): a leaf; else a node
	}
	depth [2 * literalSymbols]uint8
}

// lengths sets the lengths of the codes of the symbols whose count isn't 0,
// of which there must be at least two. None is longer than limit: if one would
// be, the rarest symbols are taken to be less rare. The codes are complete.
func (c *coder) lengths(lengths []uint8, count []uint32, limit uint8) {
	for floor := uint32(1); ; floor *= 2 {
		c.leaves = c.leaves[:0]
		for s, n := range count {
			if n > 0 {
				c.leaves = append(c.leaves, uint64(max(n, floor))<<16|uint64(s))
			}
		}
		slices.Sort(c.leaves)
		c.build()
		clear(lengths)
		longest := uint8(0)
		for i, l := range c.leaves {
			lengths[l&0xffff] = c.depth[i]
			longest = max(longest, c.depth[i])
		}
		if longest <= limit {
			return
		}
	}
}

// build finds the depth of each leaf in the Huffman tree. Nodes come in the
// order of their counts, so the two rarest are always the first of the leaves
// or nodes that are left.
func (c *coder) build() {
	n := len(c.leaves)
	leaf, node := 0, 0
	rarest := func(made int) (index int, count uint64) {
		if node == made || leaf < n && c.leaves[leaf]>>16 <= c.nodes[node].count {
			leaf++
			return leaf - 1, c.leaves[leaf-1] >> 16
		}
		node++
		return n + node - 1, c.nodes[node-1].count
	}
	for made := range n - 1 {
		left, count := rarest(made)
		right, more := rarest(made)
		c.nodes[made].left, c.nodes[made].right, c.nodes[made].count = left, right, count+more
	}
	c.depth[2*n-2] = 0 // the root
	for i := n - 2; i >= 0; i-- {
		d := c.depth[n+i] + 1
		c.depth[c.nodes[i].left], c.depth[c.nodes[i].right] = d, d
	}
}
