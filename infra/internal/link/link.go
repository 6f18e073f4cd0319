// Package link is a way to a TCP server that can be made slow, silent, broken
// or closed: for tests of what a network does.
package link

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"csvexport/infra/internal/loopback"
)

// chunk is how many bytes are passed on at once.
const chunk = 16 << 10

// Link passes connections to a port of this machine on to a server.
type Link struct {
	host   string // the address it listens on
	target string
	addr   string

	rate   atomic.Int64 // bytes a second from the server; 0: as fast as they come
	silent atomic.Bool  // what the server says is swallowed

	mu       sync.Mutex
	listener net.Listener // nil while down
	pairs    map[*pair]bool
	broken   bool // new connections are reset, too
	done     sync.WaitGroup
}

// pair is a client's connection and its own to the server.
type pair struct {
	client, server net.Conn
	lost           atomic.Bool // bytes were swallowed: it can't go on
}

// New returns a link to a server, host:port, on a free port of loopback.
func New(target string) (*Link, error) { return NewAt(loopback.Host, target) }

// NewAt returns a link on a free port of another address of this machine: one
// that containers reach.
func NewAt(host, target string) (*Link, error) {
	l := &Link{host: host, target: target, pairs: map[*pair]bool{}}
	err := l.listen(0)
	return l, err
}

// Addr is host:port of the link.
func (l *Link) Addr() string { return l.addr }

func (l *Link) listen(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(l.host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener, l.addr = listener, listener.Addr().String()
	l.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.done.Go(func() { l.serve(conn) })
		}
	})
	return nil
}

func (l *Link) serve(client net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	server, err := dialer.DialContext(ctx, "tcp", l.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client: client, server: server}
	if !l.add(p) {
		p.reset()
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { pass(server, client, func(int) bool { return true }) })
	ways.Go(func() { pass(client, server, func(n int) bool { return l.let(p, n) }) })
	ways.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

// add reports whether the pair may be used.
func (l *Link) add(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken || l.listener == nil {
		return false
	}
	l.pairs[p] = true
	return true
}

// pass copies until an end closes, and closes the other. What let says no to is
// thrown away.
func pass(to, from net.Conn, let func(n int) bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, chunk)
	for {
		n, err := from.Read(buffer)
		if n > 0 && let(n) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// let waits for as long as n bytes take, and reports whether they get through.
func (l *Link) let(p *pair, n int) bool {
	if rate := l.rate.Load(); rate > 0 {
		time.Sleep(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	}
	if l.silent.Load() {
		p.lost.Store(true)
		return false
	}
	return true
}

func (p *pair) reset() {
	for _, c := range []net.Conn{p.client, p.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // then Close sends a reset
		}
		_ = c.Close()
	}
}

// Slow lets so many kB a second through from the server on each connection; 0
// is as fast as they come.
func (l *Link) Slow(kilobytes int) { l.rate.Store(int64(kilobytes) * 1000) }

// Silence swallows what the server says, on all connections, until Restore.
func (l *Link) Silence() { l.silent.Store(true) }

// Break resets all connections, and new ones until Restore.
func (l *Link) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	for p := range l.pairs {
		p.reset()
	}
}

// Restore ends Silence and Break. Connections that have lost bytes are closed.
func (l *Link) Restore() {
	l.silent.Store(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = false
	for p := range l.pairs {
		if p.lost.Load() {
			p.reset()
		}
	}
}

// Down closes the link: connections end, and new ones are refused, until Up.
func (l *Link) Down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		return
	}
	_ = l.listener.Close()
	l.listener = nil
	for p := range l.pairs {
		_, _ = p.client.Close(), p.server.Close()
	}
}

// Up opens the link again, at the same address.
func (l *Link) Up() error {
	l.mu.Lock()
	up := l.listener != nil
	l.mu.Unlock()
	if up {
		return nil
	}
	address, err := net.ResolveTCPAddr("tcp", l.addr)
	if err != nil {
		return err
	}
	for try := 0; ; try++ { // somebody's connection may have its port for a moment
		err = l.listen(address.Port)
		if err == nil || try == 50 {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Close ends the link for good, and waits for its connections' end.
func (l *Link) Close() {
	l.Down()
	l.done.Wait()
}
