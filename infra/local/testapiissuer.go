package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"time"

	"csvexport/infra/internal/loopback"
)

// testAudience is what the tokens of test-api are for.
const testAudience = "csvexport"

// issuer is an OpenID issuer on loopback, with one key.
type issuer struct {
	url    string
	key    *rsa.PrivateKey
	server *http.Server
	done   chan error
}

func startIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	listener, err := loopback.Listen(0)
	if err != nil {
		return nil, err
	}
	i := &issuer{url: "http://" + listener.Addr().String(), key: key, done: make(chan error, 1)}
	mux := http.NewServeMux()
	answer := func(pattern string, v any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v) // the authorizer may be gone
		})
	}
	answer("GET /.well-known/openid-configuration", map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	answer("GET /keys", map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": base64URL(key.N.Bytes()), "e": base64URL(big.NewInt(int64(key.E)).Bytes()),
	}}})
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
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

// token is good for a caller of this name, for an hour.
func (i *issuer) token(subject string) (string, error) {
	claims, err := json.Marshal(map[string]any{"iss": i.url, "aud": testAudience, "sub": subject, "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		return "", err
	}
	signed := base64URL([]byte(`{"alg":"RS256","kid":"1","typ":"JWT"}`)) + "." + base64URL(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	return signed + "." + base64URL(signature), err
}

var base64URL = base64.RawURLEncoding.EncodeToString
