package loopback_test

import (
	"net"
	"strings"
	"testing"

	"csvexport/infra/internal/loopback"
)

func TestListen_Taken(t *testing.T) {
	l, err := loopback.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = loopback.Listen(port)
	if err == nil || !strings.Contains(err.Error(), "is taken") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q; want one line that says that the port is taken", err)
	}
}

func TestFreePort(t *testing.T) {
	free, err := loopback.FreePort(0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := loopback.FreePort(free); err != nil || got != free {
		t.Errorf("preferred port %d is free, got %d, error %v", free, got, err)
	}
	l, err := loopback.Listen(free)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, err := loopback.FreePort(free); err != nil || got == free || got == 0 {
		t.Errorf("preferred port %d is taken, got %d, error %v", free, got, err)
	}
}
