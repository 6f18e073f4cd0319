package main

import (
	"errors"
	"net/http"
	"time"

	"csvexport/infra/internal/loopback"
	"csvexport/infra/internal/openid"
)

// testAudience is what the tokens of test-api are for.
const testAudience = "csvexport"

// issuer is an OpenID issuer on loopback, with one key.
type issuer struct {
	openid.Issuer
	key    openid.Key
	server *http.Server
	done   chan error
}

func startIssuer() (*issuer, error) {
	key, err := openid.NewKey("1")
	if err != nil {
		return nil, err
	}
	listener, err := loopback.Listen(0)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key, done: make(chan error, 1)}
	i.URL = "http://" + listener.Addr().String()
	i.Set(false, key)
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second}
	go func() { i.done <- i.server.Serve(listener) }()
	return i, nil
}

func (i *issuer) close() error {
	err := i.server.Close()
	if served := <-i.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// parameters have a stack take this issuer's tokens, and nobody without one.
func (i *issuer) parameters() map[string]string {
	return map[string]string{"AuthMode": "jwt", "AllowAnonymous": "false", "AuthIssuer": i.URL, "AuthAudience": testAudience}
}

// token is good for a caller of this name, for an hour.
func (i *issuer) token(subject string) (string, error) {
	return i.tokenFor(subject, time.Hour)
}

// tokenFor is token for the given time.
func (i *issuer) tokenFor(subject string, lasts time.Duration) (string, error) {
	return i.key.Token(map[string]any{"iss": i.URL, "aud": testAudience, "sub": subject, "exp": time.Now().Add(lasts).Unix()})
}
