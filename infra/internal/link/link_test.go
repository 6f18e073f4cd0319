package link_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"csvexport/infra/internal/link"
	"csvexport/infra/internal/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that says all that it hears.
func echo(t *testing.T) *link.Link {
	t.Helper()
	listener, err := loopback.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	l, err := link.New(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		_ = listener.Close()
	})
	return l
}

func dial(t *testing.T, l *link.Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// says sends bytes and reads them back.
func says(t *testing.T, c net.Conn, n int) {
	t.Helper()
	sent, got := bytes.Repeat([]byte("x"), n), make([]byte, n)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(sent, got) {
		t.Fatalf("said nothing back: %v", err)
	}
}

func TestLink_slow(t *testing.T) {
	l := echo(t)
	c := dial(t, l)
	l.Slow(100)
	begin := time.Now()
	says(t, c, 50_000)
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("50 kB at 100 kB a second took %v", took)
	}
	l.Slow(0)
	says(t, c, 50_000)
}

func TestLink_silence(t *testing.T) {
	l := echo(t)
	c := dial(t, l)
	says(t, c, 10)
	l.Silence()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a silent link: %v, want a timeout", err)
	}
	l.Restore()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("a connection that lost bytes goes on: %v", err)
	}
	says(t, dial(t, l), 10)
}

func TestLink_break(t *testing.T) {
	l := echo(t)
	c := dial(t, l)
	says(t, c, 10)
	l.Break()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a broken link: %v, want a reset", err)
	}
	if _, err := dial(t, l).Read(make([]byte, 1)); err == nil {
		t.Error("a new connection gets through")
	}
	l.Restore()
	says(t, dial(t, l), 10)
}

func TestLink_down(t *testing.T) {
	l := echo(t)
	c := dial(t, l)
	says(t, c, 10)
	l.Down()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a connection goes on")
	}
	if _, err := net.Dial("tcp", l.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed link: %v, want refused", err)
	}
	if err := l.Up(); err != nil {
		t.Fatal(err)
	}
	says(t, dial(t, l), 10)
}
