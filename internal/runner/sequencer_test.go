package runner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// payload is what range i holds: so many bytes, which tell the range and the
// place in it.
func payload(i, size int) []byte {
	b := make([]byte, 0, size+8)
	for at := 0; at < size; at += 8 {
		b = binary.BigEndian.AppendUint64(b, uint64(i)<<40|uint64(at))
	}
	return b[:size]
}

// slowWriter takes a while for each write, and watches what is held back.
type slowWriter struct {
	bytes.Buffer
	delay   time.Duration
	failAt  int // bytes; 0: never
	watched *sequencer
	peak    int
}

var errOutput = errors.New("output failed")

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(w.delay)
	if w.watched != nil {
		w.watched.mu.Lock()
		w.peak = max(w.peak, w.watched.buffered)
		w.watched.mu.Unlock()
	}
	if w.failAt > 0 && w.Len() > w.failAt {
		return 0, errOutput
	}
	return w.Buffer.Write(p)
}

// copyAll has workers write ranges of the given sizes, in pieces.
func copyAll(s *sequencer, workers int, sizes []int, pause func() time.Duration) error {
	var mu sync.Mutex
	next := 0
	errs := make(chan error, workers)
	for range workers {
		go func() {
			errs <- func() error {
				for {
					mu.Lock()
					if next == len(sizes) {
						mu.Unlock()
						return nil
					}
					i := next
					next++
					sl := s.slot(i)
					mu.Unlock()
					for rest := payload(i, sizes[i]); len(rest) > 0; {
						time.Sleep(pause())
						n := min(len(rest), 50_000)
						if _, err := sl.Write(rest[:n]); err != nil {
							return err
						}
						rest = rest[n:]
					}
					if err := sl.Close(); err != nil {
						return err
					}
				}
			}()
		}()
	}
	var first error
	for range workers {
		if err := <-errs; err != nil && first == nil {
			first = err
			s.abort(err)
		}
	}
	return first
}

func TestSequencer_keepsOrderAndBound(t *testing.T) {
	for _, workers := range []int{1, 2, 4, 16} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("workers=%d/seed=%d", workers, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := rand.New(rand.NewPCG(seed, 7))
					sizes := make([]int, 40)
					var want bytes.Buffer
					for i := range sizes {
						sizes[i] = r.IntN(3) * r.IntN(1<<20) // a third are empty
						want.Write(payload(i, sizes[i]))
					}
					out := &slowWriter{delay: time.Duration(r.IntN(3)) * time.Millisecond}
					s := newSequencer(out)
					out.watched = s
					var mu sync.Mutex
					pause := func() time.Duration {
						mu.Lock()
						defer mu.Unlock()
						return time.Duration(r.IntN(5)) * time.Millisecond
					}
					if err := copyAll(s, workers, sizes, pause); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(out.Bytes(), want.Bytes()) {
						t.Errorf("got %d bytes, want %d in the ranges' order", out.Len(), want.Len())
					}
					if out.peak > bufferLimit {
						t.Errorf("held back %d bytes, the limit is %d", out.peak, bufferLimit)
					}
					if s.buffered != 0 {
						t.Errorf("%d bytes are still held back", s.buffered)
					}
				})
			})
		}
	}
}

// The ranges behind a slow first one wait when the buffer is full, rather
// than grow: the wait ends with the first.
func TestSequencer_backPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &bytes.Buffer{}
		s := newSequencer(out)
		first, second := s.slot(0), s.slot(1)
		written := 0
		go func() {
			for range 3 * bufferLimit / 100_000 {
				if _, err := second.Write(payload(1, 100_000)); err != nil {
					t.Error(err)
				}
				written += 100_000
			}
			if err := second.Close(); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if written > bufferLimit || written < bufferLimit-100_000 {
			t.Errorf("the second range wrote %d bytes before it waited; the limit is %d", written, bufferLimit)
		}
		if _, err := first.Write([]byte("first")); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := 5 + 3*bufferLimit/100_000*100_000; out.Len() != want {
			t.Errorf("got %d bytes, want %d", out.Len(), want)
		}
	})
}

func TestSequencer_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slowWriter{failAt: 1 << 20}
		err := copyAll(newSequencer(out), 4, []int{3 << 20, 20 << 20, 1 << 20, 0, 5}, func() time.Duration { return time.Millisecond })
		if !errors.Is(err, errOutput) {
			t.Errorf("error %v, want the output's", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSequencer(&bytes.Buffer{})
		s.slot(0) // never writes
		waiting := s.slot(1)
		ended := make(chan error)
		go func() {
			for {
				if _, err := waiting.Write(payload(1, 1<<20)); err != nil {
					ended <- err
					return
				}
			}
		}()
		synctest.Wait()
		s.abort(errOutput)
		if err := <-ended; !errors.Is(err, errOutput) {
			t.Errorf("error %v, want the abort's", err)
		}
	})
}
