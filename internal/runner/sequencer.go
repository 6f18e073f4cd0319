package runner

import (
	"io"
	"sync"
)

// bufferLimit bounds what all ranges together may hold back while they wait
// for their turn, in bytes.
const bufferLimit = 6 << 20

// chunkSize is the unit in which a waiting range holds bytes.
const chunkSize = 128 << 10

// sequencer puts the compressed bytes of ranges that are copied at the same
// time into the ranges' order. The first range that isn't finished streams
// through; those behind it fill a bounded buffer, and then wait. So memory is
// bounded whatever the ranges' sizes, and slow output slows the copying down.
//
// Each range's slot is written by one goroutine, and the ranges must be begun
// in their order: then the first one always runs, and nobody waits forever.
type sequencer struct {
	out io.Writer // written by the goroutine of the first unfinished range only

	mu       sync.Mutex
	changed  sync.Cond
	first    int // the range whose turn it is
	buffered int // bytes in all slots' chunks
	slots    map[int]*slot
	free     [][]byte
	err      error // set once: everything ends
}

func newSequencer(out io.Writer) *sequencer {
	s := &sequencer{out: out, slots: map[int]*slot{}}
	s.changed.L = &s.mu
	return s
}

// abort makes every Write and Close, also those that wait, return err.
func (s *sequencer) abort(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.changed.Broadcast()
}

// slot returns the writer of range i, which counts from 0. The caller must
// Close it after the range's last byte.
func (s *sequencer) slot(i int) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := &slot{sequencer: s, index: i}
	s.slots[i] = sl
	return sl
}

// slot takes the bytes of one range.
type slot struct {
	sequencer *sequencer
	index     int
	size      int64 // bytes written

	// Guarded by the sequencer's mutex.
	chunks   [][]byte
	finished bool
}

// Write passes p on when it is the range's turn, and keeps a copy until then.
func (sl *slot) Write(p []byte) (int, error) {
	s := sl.sequencer
	turn, err := sl.hold(p)
	if err != nil {
		return 0, err
	}
	if turn {
		if err := sl.drain(); err != nil {
			return 0, err
		}
		if _, err := s.out.Write(p); err != nil {
			s.abort(err)
			return 0, err
		}
	}
	sl.size += int64(len(p))
	return len(p), nil
}

// hold keeps a copy of p, unless it is the range's turn. It waits while all
// that may be held back is held.
func (sl *slot) hold(p []byte) (turn bool, err error) {
	s := sl.sequencer
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.first != sl.index && s.buffered > 0 && s.buffered+len(p) > bufferLimit {
		s.changed.Wait()
	}
	if s.err != nil {
		return false, s.err
	}
	if s.first == sl.index {
		return true, nil
	}
	s.buffered += len(p)
	for len(p) > 0 {
		last := len(sl.chunks) - 1
		if last < 0 || len(sl.chunks[last]) == chunkSize {
			sl.chunks = append(sl.chunks, s.chunk())
			last++
		}
		n := min(chunkSize-len(sl.chunks[last]), len(p))
		sl.chunks[last] = append(sl.chunks[last], p[:n]...)
		p = p[n:]
	}
	return false, nil
}

// chunk returns an empty chunk; the mutex is held.
func (s *sequencer) chunk() []byte {
	if n := len(s.free); n > 0 {
		c := s.free[n-1]
		s.free = s.free[:n-1]
		return c
	}
	return make([]byte, 0, chunkSize)
}

// drain writes what the slot held back. It is the slot's turn, so its owner
// doesn't add to it.
func (sl *slot) drain() error {
	s := sl.sequencer
	for {
		s.mu.Lock()
		if len(sl.chunks) == 0 {
			s.mu.Unlock()
			return nil
		}
		c := sl.chunks[0]
		sl.chunks = sl.chunks[1:]
		s.mu.Unlock()

		_, err := s.out.Write(c)
		if err != nil {
			s.abort(err)
			return err
		}
		s.mu.Lock()
		s.buffered -= len(c)
		s.free = append(s.free, c[:0])
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

// Close ends the range. If it is its turn, the next range's turn comes, and
// that of the ranges behind it as far as they are finished.
func (sl *slot) Close() error {
	s := sl.sequencer
	s.mu.Lock()
	sl.finished = true
	turn, err := s.first == sl.index, s.err
	s.mu.Unlock()
	for err == nil && turn {
		if err = sl.drain(); err != nil {
			break
		}
		sl, turn = s.next(sl)
	}
	return err
}

// next gives the turn to the range behind sl. It reports whether that one is
// finished already, so that the caller has to write what it left.
func (s *sequencer) next(sl *slot) (*slot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.slots, sl.index)
	s.first = sl.index + 1
	s.changed.Broadcast()
	following := s.slots[s.first]
	return following, following != nil && following.finished
}
