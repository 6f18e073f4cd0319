package source

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	neturl "net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"csvexport/internal/export"
)

// Address tells the connection URL of the database. When fresh, one that was
// kept won't do: the server has just refused the login in it. The error's code
// is SourceUnreachable when the address can't be had now.
type Address func(ctx context.Context, fresh bool) (url string, err error)

// TLS says how a connection is protected. The zero value asks for verify-full,
// against the roots that the system trusts, of every server that isn't on
// loopback: the connection is encrypted, and the server is who its URL says
// (PostgreSQL manual, "SSL Support").
type TLS struct {
	Roots *x509.CertPool // trusted instead of the system's; nil: those, or the URL's sslrootcert
	ByURL bool           // an sslmode in the URL is all that is asked for
}

// dialer notices a peer that is gone within 20 s.
var dialer = net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
	Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3,
}}

// config is the configuration of a connection to url. The error tells what to
// change, and no password.
func (t TLS) config(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, unreadable(err)
	}
	switch {
	case verifies(config):
	case !strings.Contains(url, "sslmode="): // pgx's own default is to try, and to do without
		if config, err = pgx.ParseConfig(verifyFull(url)); err != nil {
			return nil, unreadable(err)
		}
	case !t.ByURL:
		return nil, &export.Error{
			Code: export.SourceRejected, Message: "The service's connection to the database isn't set up safely.",
			Err: errors.New("the database URL's sslmode doesn't prove who the server is: use verify-full, or have DATABASE_TLS say url"),
		}
	}
	for _, way := range ways(config) {
		if t.Roots != nil && way.TLSConfig != nil {
			way.TLSConfig.RootCAs = t.Roots
		}
	}
	return config, nil
}

// ways are all the ways to a server that the configuration has: its own first,
// and those that it falls back to.
func ways(config *pgx.ConnConfig) []*pgconn.FallbackConfig {
	return append([]*pgconn.FallbackConfig{{Host: config.Host, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
}

// unreadable says why a URL can't be read, and nothing that it holds: of a wrong
// one nobody can tell which part is the password. pgx's own error hides it as
// well as it can.
func unreadable(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("the database URL names a file that can't be read: %w", path)
	}
	return errors.New("the database URL can't be read: it must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, with what is special " +
		"in a part percent-encoded, and known values of sslmode and other parameters")
}

// verifies reports whether every way of the configuration ends at loopback or
// at a server whose name is proven.
func verifies(config *pgx.ConnConfig) bool {
	return !slices.ContainsFunc(ways(config), func(way *pgconn.FallbackConfig) bool {
		return !loopback(way.Host) && (way.TLSConfig == nil || way.TLSConfig.InsecureSkipVerify)
	})
}

// loopback reports whether a host is this machine: by its address, its name,
// or as a folder of sockets.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost" || strings.HasPrefix(host, "/")
}

// verifyFull is url with an sslmode that it doesn't have.
func verifyFull(url string) string {
	u, err := neturl.Parse(url)
	if err != nil || u.Scheme == "" {
		return url + " sslmode=verify-full"
	}
	query := u.Query()
	query.Set("sslmode", "verify-full")
	u.RawQuery = query.Encode()
	return u.String()
}
