// Package loopback hands out TCP ports of 127.0.0.1, the one address on which
// the local stack ever listens.
package loopback

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Host is the address of every listener.
const Host = "127.0.0.1"

// Addr is host:port of a loopback port.
func Addr(port int) string { return net.JoinHostPort(Host, strconv.Itoa(port)) }

// URL is the plain HTTP base URL of a loopback port, without a final slash.
func URL(port int) string { return "http://" + Addr(port) }

// Listen listens on port; 0 means any free one. The error of a port that
// somebody else holds says so in one line.
func Listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", Addr(port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d of %s is taken: end the program that holds it, or choose another one with PORT=… (0 for any free one)", port, Host)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %d of %s is not allowed to this user: choose one above 1023 with PORT=…", port, Host)
	case err != nil:
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return l, nil
}

// FreePort returns preferred if it is free now and not 0, else another free
// port. Nothing reserves it: whoever binds it later must be ready to fail.
func FreePort(preferred int) (int, error) {
	l, err := net.Listen("tcp", Addr(preferred))
	if err != nil {
		if l, err = net.Listen("tcp", Addr(0)); err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
