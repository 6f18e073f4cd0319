package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Emulator is what stands in for AWS. The zero value is Own.
type Emulator string

// The emulators of which a stack starts one for itself. Any other value is the
// address of one that runs already.
const (
	Own        Emulator = "local"      // versitygw and ministack
	LocalStack Emulator = "localstack" // LocalStack and DynamoDB Local
)

// ParseEmulator reads the name of an emulator, or the http URL of one that
// runs; empty is Own.
func ParseEmulator(text string) (Emulator, error) {
	switch e := Emulator(strings.TrimSuffix(text, "/")); e {
	case "", Own:
		return Own, nil
	case LocalStack:
		return e, nil
	default:
		if _, err := address(string(e)); err != nil {
			return "", fmt.Errorf("%q: want %s, %s, or the URL of one that runs, such as http://127.0.0.1:4566", text, Own, LocalStack)
		}
		return e, nil
	}
}

// Running reports whether the emulator is one that the stack doesn't start.
func (e Emulator) Running() bool { return e != "" && e != Own && e != LocalStack }

// Servers names them for people.
func (e Emulator) Servers() string {
	switch {
	case e == LocalStack:
		return "LocalStack, DynamoDB Local"
	case e.Running():
		return "the emulator at " + string(e)
	default:
		return "SQS, DynamoDB, S3"
	}
}

// address is host:port of a plain HTTP base URL.
func address(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", errors.New("want http://HOST:PORT")
	}
	return u.Host, nil
}

const dialTimeout = 5 * time.Second

// reach makes sure that somebody listens at a base URL.
func reach(ctx context.Context, base string) error {
	host, err := address(base)
	if err != nil {
		return fmt.Errorf("%q: %w", base, err)
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", host)
	if err != nil {
		return fmt.Errorf("nobody answers at %s, which was named as an emulator; start it first: %w", base, err)
	}
	return conn.Close()
}
