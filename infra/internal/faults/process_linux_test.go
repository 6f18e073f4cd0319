package faults

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"

	"csvexport/infra/internal/loopback"
)

// Two connections of one local port are told apart by their other ends.
func TestInodeOf(t *testing.T) {
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		controlErr := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
		if controlErr != nil {
			return controlErr
		}
		return err
	}}
	var address string
	inodes := map[string]bool{}
	for range 2 {
		server, err := loopback.Listen(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		if address != "" {
			if dialer.LocalAddr, err = net.ResolveTCPAddr("tcp", address); err != nil {
				t.Fatal(err)
			}
		}
		connection, err := dialer.DialContext(context.Background(), "tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		if address == "" {
			address = connection.LocalAddr().String()
		}
		inode, err := inodeOf(address, server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if !holds(os.Getpid(), inode) {
			t.Errorf("this process doesn't hold socket %s", inode)
		}
		inodes[inode] = true
	}
	if len(inodes) != 2 {
		t.Errorf("sockets %v, want two", inodes)
	}
	if inode, err := inodeOf(address, "127.0.0.1:1"); err == nil {
		t.Errorf("a connection that isn't there has socket %s", inode)
	}
}
