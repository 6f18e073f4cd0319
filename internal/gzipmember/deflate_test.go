package gzipmember

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// deflated is p as one piece that came in writes of the given size, with a
// last block behind it.
func deflated(t *testing.T, d *deflater, p []byte, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	d.reset(&out)
	for rest := p; len(rest) > 0; {
		n := min(size, len(rest))
		if m, err := d.Write(rest[:n]); m != n || err != nil {
			t.Fatalf("Write of %d bytes: %d, %v", n, m, err)
		}
		rest = rest[n:]
	}
	if err := d.flush(); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff}) {
		t.Errorf("the piece ends with % x, not with an empty stored block", out.Bytes()[max(out.Len()-8, 0):])
	}
	return append(out.Bytes(), 3, 0)
}

// wantInflated checks what the standard library's reader makes of b.
func wantInflated(t *testing.T, b, want []byte) {
	t.Helper()
	got, err := io.ReadAll(flate.NewReader(bytes.NewReader(b)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes are read (%v), which aren't the %d written", len(got), err, len(want))
	}
}

// userRows look like the rows of a table.
func userRows(r *rand.Rand, n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		first, last := []string{"Anna", "Béla", "Chen", "Dmitri", "Esra"}[r.IntN(5)], []string{"Lopez", "Turing", "Costa", "Novák"}[r.IntN(4)]
		fmt.Fprintf(&b, "%d,%s %s,%s.%s%d@example.com,2020-%02d-%02d 0%d:22:15+00,DE,free,%d.%02d\n",
			i, first, last, first, last, i, 1+r.IntN(12), 1+r.IntN(28), r.IntN(10), r.IntN(50000), r.IntN(100))
	}
	return b.Bytes()[:n]
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// contents are bytes that are unlike each other.
func contents() map[string][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	all := make([]byte, 0, 1<<16)
	for i := range 1 << 16 {
		all = append(all, byte(i>>8), byte(i))
	}
	var rare []byte // the count of each byte is the sum of the two before: the deepest tree
	for b, n, before := byte(0), 1, 1; len(rare) < 1<<20; b, n, before = b+1, n+before, n {
		rare = append(rare, bytes.Repeat([]byte{b}, n)...)
	}
	r.Shuffle(len(rare), func(i, j int) { rare[i], rare[j] = rare[j], rare[i] })
	word := noise(r, 40)
	var distances []byte // the word again, up to as far as a match reaches and farther
	for _, gap := range []int{0, 1, 2, 3, 4, 8, 100, 1000, windowSize - 41, windowSize - 40, windowSize - 39, windowSize, 2 * windowSize} {
		distances = append(append(distances, word...), noise(r, gap)...)
	}
	var lengths []byte // matches of each length up to two and a half times the longest
	base := noise(r, 700)
	for n := range 2*maxMatch + maxMatch/2 {
		lengths = append(append(lengths, base[:n]...), noise(r, 5)...)
	}
	var turns []byte // text and noise by turns, so that codes stop to suit
	for i := range 12 {
		turns = append(append(turns, userRows(r, 150_000+i)...), noise(r, 30_000*i)...)
	}
	return map[string][]byte{
		"nothing": nil, "a byte": []byte("x"), "zeros": make([]byte, 3*chunkSize), "rows": userRows(r, 5*chunkSize), "noise": noise(r, 3*chunkSize),
		"every two bytes": all, "rare bytes": rare, "distances": distances, "lengths": lengths, "turns": turns,
		"many codes": userRows(r, 70*chunkSize), "two values": bytes.ReplaceAll(noise(r, 200_000), []byte{0}, []byte{1, 1, 1, 1, 1, 1, 1}),
	}
}

func TestDeflater(t *testing.T) {
	d := &deflater{}
	for name, p := range contents() {
		t.Run(name, func(t *testing.T) {
			whole := deflated(t, d, p, len(p)+1)
			wantInflated(t, whole, p)
			if !bytes.Equal(whole, deflated(t, &deflater{}, p, len(p)+1)) {
				t.Error("it becomes other bytes behind another piece")
			}
			if most := len(p) + len(p)/1000 + 20; len(whole) > most {
				t.Errorf("%d bytes became %d, want at most %d", len(p), len(whole), most)
			}
			for _, size := range []int{1, 91, chunkSize, chunkSize + 1} {
				if got := deflated(t, d, p, size); !bytes.Equal(got, whole) {
					t.Errorf("in writes of %d bytes it becomes other bytes", size)
				}
			}
			if d.sum.Bytes != int64(len(p)) {
				t.Errorf("the sum is of %d bytes, want %d", d.sum.Bytes, len(p))
			}
		})
	}
}

// Sizes at which a chunk, or the buffer, is just full.
func TestDeflater_sizes(t *testing.T) {
	d, p := &deflater{}, userRows(rand.New(rand.NewPCG(5, 6)), bufferSize+2*chunkSize)
	for _, around := range []int{0, probed, 2 * probed, windowSize, chunkSize, 2 * chunkSize, bufferSize, bufferSize + chunkSize} {
		for n := max(around-3, 0); n <= around+3; n++ {
			wantInflated(t, deflated(t, d, p[:n], len(p)), p[:n])
		}
	}
}

// Rows come to no more than the standard library makes of them, which is what
// gzip does.
func TestDeflater_small(t *testing.T) {
	p := userRows(rand.New(rand.NewPCG(7, 8)), 4<<20)
	var theirs bytes.Buffer
	w, err := flate.NewWriter(&theirs, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ours := len(deflated(t, &deflater{}, p, len(p))); ours > theirs.Len() {
		t.Errorf("%d bytes became %d, and %d by the standard library's level 1", len(p), ours, theirs.Len())
	}
}

// The window goes with the chunks, and the codes with the bytes: what comes
// late is compressed as well as what comes at first.
func TestDeflater_late(t *testing.T) {
	d, r := &deflater{}, rand.New(rand.NewPCG(9, 10))
	rows, codes := userRows(r, 5*chunkSize), make([]byte, (chunksPerCode-5)*chunkSize)
	for i := range codes {
		codes[i] = "XKCDQWYZ"[r.IntN(8)]
	}
	alone := len(deflated(t, d, rows, len(rows))) + len(deflated(t, d, codes, len(codes)))
	if both := len(deflated(t, d, slices.Concat(rows, codes), len(rows))); both > alone+alone/50 {
		t.Errorf("two kinds of bytes become %d together, and %d apart", both, alone)
	}
	for _, tt := range []struct {
		name  string
		block []byte
		most  int
	}{{"rows", userRows(r, 20_000), 30_000}, {"noise", noise(r, 20_000), 60_000}} {
		if again := len(deflated(t, d, bytes.Repeat(tt.block, 50), chunkSize)); again > tt.most {
			t.Errorf("%d bytes of %s, 50 times, become %d, want at most %d", len(tt.block), tt.name, again, tt.most)
		}
	}
}

// Random mixtures of rows, noise, repetition and of what came before, for the
// time in FUZZTIME, or a number of them.
func TestDeflater_random(t *testing.T) {
	end := time.Now()
	if length := os.Getenv("FUZZTIME"); length != "" {
		more, err := time.ParseDuration(length)
		if err != nil {
			t.Fatal(err)
		}
		end = end.Add(more)
	}
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(strconv.Itoa(worker), func(t *testing.T) {
			t.Parallel()
			d, cases := &deflater{}, 0
			for ; cases < 100 || time.Now().Before(end); cases++ {
				seed := uint64(cases*1000 + worker)
				r := rand.New(rand.NewPCG(seed, 1))
				p := mixture(r)
				wantInflated(t, deflated(t, d, p, 1+r.IntN(100_000)), p)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			t.Logf("%d cases", cases)
		})
	}
}

func mixture(r *rand.Rand) (p []byte) {
	for n := r.IntN(1 << (1 + r.IntN(20))); len(p) < n; {
		length := r.IntN(1 << (1 + r.IntN(17)))
		switch r.IntN(6) {
		case 0, 1:
			p = append(p, userRows(r, length)...)
		case 2:
			p = append(p, noise(r, length)...)
		case 3:
			p = append(p, bytes.Repeat([]byte{byte(r.Uint32())}, length)...)
		case 4:
			if len(p) > 0 {
				from := r.IntN(len(p))
				p = append(p, p[from:min(from+length, len(p))]...)
			}
		case 5:
			letters := noise(r, 1+r.IntN(20))
			for range length {
				p = append(p, letters[min(r.IntN(len(letters)), r.IntN(len(letters)))])
			}
		}
	}
	return p
}

func TestDeflater_writeError(t *testing.T) {
	full := errors.New("full")
	d := &deflater{}
	d.reset(failing{full})
	p := make([]byte, 10)
	if n, err := d.Write(p); n != len(p) || err != nil {
		t.Errorf("Write of a row: %d, %v", n, err)
	}
	if err := d.flush(); !errors.Is(err, full) {
		t.Errorf("flush: %v, want %v", err, full)
	}
	if _, err := d.Write(make([]byte, 2*chunkSize)); !errors.Is(err, full) {
		t.Errorf("Write of chunks: %v, want %v", err, full)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// The symbols and extra bits are those of the tables in RFC 1951, 3.2.5.
func TestSymbols(t *testing.T) {
	first := []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	extra := []uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	for length := 3; length <= 258; length++ {
		s := lengthSymbol[length-3]
		if want, _ := slices.BinarySearch(first, length+1); int(s) != want-1 || lengthExtra[length-3] != extra[s] || int(lengthBase[s]) != first[s]-3 {
			t.Errorf("length %d: symbol %d, %d extra bits, base %d", length, s, lengthExtra[length-3], lengthBase[s])
		}
	}
	distances := []int{
		1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
	}
	for distance := 1; distance <= windowSize; distance++ {
		s, more, n := distanceSymbol(distance)
		want, _ := slices.BinarySearch(distances, distance+1)
		if int(s) != want-1 || int(more) != distance-distances[s] || n != uint(max(int(s)/2-1, 0)) {
			t.Fatalf("distance %d: symbol %d, %d in %d extra bits", distance, s, more, n)
		}
	}
}

// Codes are complete - readers refuse others - and no longer than allowed.
func TestCoder(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var c coder
	for range 3000 {
		size, limit := literalSymbols, uint8(maxCode)
		if r.IntN(2) == 0 {
			size, limit = lengthSymbols, maxLengthCode
		}
		count := make([]uint32, size)
		for used := 2 + r.IntN(size-1); used > 0; {
			if s := r.IntN(size); count[s] == 0 {
				count[s] = 1 + r.Uint32()>>(12+r.IntN(20))
				used--
			}
		}
		lengths, space := make([]uint8, size), 0
		c.lengths(lengths, count, limit)
		for s, n := range lengths {
			if (n > 0) != (count[s] > 0) || n > limit {
				t.Fatalf("counts %v: symbol %d has a code of %d bits", count, s, n)
			}
			if n > 0 {
				space += 1 << (maxCode - n)
			}
		}
		if space != 1<<maxCode {
			t.Fatalf("counts %v: lengths %v leave a part of the codes, or take too many", count, lengths)
		}
	}
}
