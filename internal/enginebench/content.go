package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// content decompresses a file as it comes. Its parts come in any order, so
// each waits for its turn.
type content struct {
	pipe *io.PipeWriter

	mu     sync.Mutex
	next   int           // the part whose turn it is, from 1
	passed chan struct{} // closed when next changes

	done   chan struct{} // closed at the end; the following are set then
	digest hash.Hash
	size   int64
	err    error
}

func newContent() *content {
	read, write := io.Pipe()
	c := &content{pipe: write, next: 1, passed: make(chan struct{}), done: make(chan struct{}), digest: sha256.New()}
	go func() {
		defer close(c.done)
		c.size, c.err = gunzip(c.digest, read)
		read.CloseWithError(c.err) // frees whoever still writes
	}()
	return c
}

// gunzip writes what the one gzip member in r holds to w. Bytes behind it are
// an error: some readers would leave them out in silence.
func gunzip(w io.Writer, r io.Reader) (int64, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return 0, err
	}
	z.Multistream(false)
	n, err := io.Copy(w, z)
	if err != nil {
		return n, err
	}
	if _, err := buffered.Peek(1); !errors.Is(err, io.EOF) {
		return n, errors.New("there are bytes behind the gzip member")
	}
	return n, nil
}

// turn waits until all parts before the given one have passed, and returns
// where its bytes go. pass must be called after them.
func (c *content) turn(ctx context.Context, part int) (io.Writer, error) {
	for {
		c.mu.Lock()
		next, passed := c.next, c.passed
		c.mu.Unlock()
		if next == part {
			return c.pipe, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-passed:
		}
	}
}

func (c *content) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	close(c.passed)
	c.passed = make(chan struct{})
}

// sum ends the file and returns the SHA-256, in hex, of its decompressed
// bytes, which must be so many.
func (c *content) sum(want int64) (string, error) {
	err := c.pipe.Close()
	<-c.done
	if err = errors.Join(err, c.err); err != nil {
		return "", fmt.Errorf("decompress the file: %w", err)
	}
	if c.size != want {
		return "", fmt.Errorf("the file holds %d bytes, and the export says %d", c.size, want)
	}
	return hex.EncodeToString(c.digest.Sum(nil)), nil
}
