package sam

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"csvexport/infra/internal/link"
)

// openDatabase returns the database's URL as containers reach it. A server on
// this machine's loopback, which they don't, gets a way to it.
func (s *Sam) openDatabase(given string) (string, error) {
	u, err := url.Parse(given)
	if err != nil {
		return "", errors.New("the database's URL is no URL") // the error of Parse holds the password
	}
	if !isLoopback(u.Hostname()) {
		return given, nil
	}
	at := u.Port()
	if at == "" {
		at = "5432"
	}
	if s.database, err = link.NewAt(s.HostAddress, net.JoinHostPort(u.Hostname(), at)); err != nil {
		return "", fmt.Errorf("let containers reach the database: %w", err)
	}
	u.Host = net.JoinHostPort(hostName, port(s.database.Addr()))
	return u.String(), nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
