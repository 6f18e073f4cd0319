package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Comparison is the outcome of reading two streams to their ends.
type Comparison struct {
	Want, Got Digest
	Header    string // first line of the stream under test
	Diff      int64  // offset of the first byte that differs; -1 if none does
	DiffLine  int64  // its line, counted from 1
}

// Digest sums up a stream.
type Digest struct {
	SHA256 string // hex
	Bytes  int64
}

// Equal reports whether the streams hold the same bytes.
func (c Comparison) Equal() bool { return c.Diff < 0 && c.Want == c.Got }

// Compare reads both streams to their ends, in step and in bounded memory.
func Compare(want, got io.Reader) (Comparison, error) {
	const block = 256 << 10
	c := Comparison{Diff: -1, DiffLine: 1}
	left, right := newSummed(want), newSummed(got)
	a, b := make([]byte, block), make([]byte, block)
	for {
		n, errWant := left.fill(a)
		m, errGot := right.fill(b)
		if err := errors.Join(errWant, errGot); err != nil {
			return c, err
		}
		if c.Diff < 0 {
			c.locate(a[:n], b[:m], right.size-int64(m))
		}
		if right.size == int64(m) {
			header, _, _ := bytes.Cut(b[:m], []byte("\n"))
			c.Header = string(header)
		}
		if n == 0 && m == 0 {
			c.Want, c.Got = left.digest(), right.digest()
			return c, nil
		}
	}
}

// locate looks for the first difference of two blocks that begin at offset.
func (c *Comparison) locate(want, got []byte, offset int64) {
	same := 0
	for same < min(len(want), len(got)) && want[same] == got[same] {
		same++
	}
	c.DiffLine += int64(bytes.Count(want[:same], []byte("\n")))
	if same < len(want) || same < len(got) {
		c.Diff = offset + int64(same)
	}
}

// summed reads a stream and sums up what it has read.
type summed struct {
	r    io.Reader
	sum  hash.Hash
	size int64
}

func newSummed(r io.Reader) *summed { return &summed{r: r, sum: sha256.New()} }

// fill reads until p is full or the stream ends; n is 0 only at its end.
func (s *summed) fill(p []byte) (n int, err error) {
	n, err = io.ReadFull(s.r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	s.size += int64(n)
	s.sum.Write(p[:n])
	return n, err
}

func (s *summed) digest() Digest {
	return Digest{SHA256: hex.EncodeToString(s.sum.Sum(nil)), Bytes: s.size}
}

// Gunzip reads the one gzip member that r holds. Bytes behind it are an error,
// since many programs would leave them out in silence.
func Gunzip(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 256<<10)
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("the file is not gzip: %w", err)
	}
	z.Multistream(false)
	return &member{z: z, rest: buffered}, nil
}

type member struct {
	z    *gzip.Reader
	rest *bufio.Reader
}

// errTruncated keeps a cut file apart from the end of a complete one.
var errTruncated = errors.New("the gzip file is cut off")

func (m *member) Read(p []byte) (int, error) {
	n, err := m.z.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return n, errTruncated
	}
	if errors.Is(err, io.EOF) {
		if _, err := m.rest.Peek(1); !errors.Is(err, io.EOF) {
			return n, errors.New("the gzip file holds more than one member")
		}
	}
	return n, err
}
