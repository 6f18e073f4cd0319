package gzipmember_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os/exec"
	"testing"

	"csvexport/internal/gzipmember"
)

// member deflates each of the pieces on its own and puts them together.
func member(t *testing.T, pieces ...[]byte) []byte {
	t.Helper()
	w := gzipmember.NewPiece()
	out := bytes.NewBuffer(gzipmember.Header())
	var total gzipmember.Sum
	for _, p := range pieces {
		w.Reset(out)
		for len(p) > 0 { // several writes, of uneven sizes
			n := min(len(p), 1000)
			if _, err := w.Write(p[:n]); err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		sum, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		total = total.Append(sum)
	}
	out.Write(gzipmember.Trailer(total))
	return out.Bytes()
}

func text(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefgh,\n"[r.IntN(10)]
	}
	return b
}

func TestMember_ReadAsOne(t *testing.T) {
	tests := map[string][][]byte{
		"no piece":         nil,
		"an empty piece":   {nil},
		"one byte":         {[]byte("x")},
		"one piece":        {text(100_000, 1)},
		"many pieces":      {text(70_000, 1), text(1, 2), nil, text(300_000, 3), text(65_536, 4)},
		"same piece twice": {text(40_000, 5), text(40_000, 5)},
	}
	for name, pieces := range tests {
		t.Run(name, func(t *testing.T) {
			file := member(t, pieces...)
			want := bytes.Join(pieces, nil)

			t.Run("Go", func(t *testing.T) {
				r, err := stdgzip.NewReader(bytes.NewReader(file))
				if err != nil {
					t.Fatal(err)
				}
				r.Multistream(false) // one member only
				got, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("read %d bytes that differ from the %d written", len(got), len(want))
				}
			})
			t.Run("Python zlib", func(t *testing.T) {
				// decompressobj(31) reads one member and checks its trailer.
				cmd := exec.CommandContext(t.Context(), "python3", "-c",
					"import sys,zlib\nd=zlib.decompressobj(31)\nsys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read()))\nassert d.eof and not d.unused_data")
				cmd.Stdin = bytes.NewReader(file)
				got, err := cmd.Output()
				if err != nil {
					if e, ok := errors.AsType[*exec.ExitError](err); ok {
						t.Fatalf("%v: %s", err, e.Stderr)
					}
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("read %d bytes that differ from the %d written", len(got), len(want))
				}
			})
		})
	}
}

func TestCombine(t *testing.T) {
	data := text(200_000, 9)
	for _, cut := range []int{0, 1, 2, 3, 255, 256, 65_535, 65_536, 131_071, 199_999, 200_000} {
		first, second := data[:cut], data[cut:]
		got := gzipmember.Combine(crc32.ChecksumIEEE(first), crc32.ChecksumIEEE(second), int64(len(second)))
		if want := crc32.ChecksumIEEE(data); got != want {
			t.Errorf("cut at %d: Combine = %08x, want %08x", cut, got, want)
		}
	}
}

// Lengths of which no byte string fits in memory: adding zeros in two steps
// must equal adding them in one.
func TestCombine_LargeLengths(t *testing.T) {
	zeros := func(crc uint32, n int64) uint32 { return gzipmember.Combine(crc, 0, n) }
	const crc = 0xcafef00d
	for _, n := range []int64{1 << 31, 1<<32 + 5, 1 << 40, 5 << 40} {
		if one, two := zeros(crc, 2*n), zeros(zeros(crc, n), n); one != two {
			t.Errorf("2*%d bytes at once: %08x, in two steps: %08x", n, one, two)
		}
	}
}

func BenchmarkPiece(b *testing.B) {
	data := text(1<<20, 1)
	w := gzipmember.NewPiece()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(io.Discard)
		if _, err := w.Write(data); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
