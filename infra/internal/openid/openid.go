// Package openid is an OpenID issuer for tests, whose keys and faults they
// choose. It is written without a library for tokens, so that none is compared
// with itself.
package openid

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"sync"
)

// Issuer serves a discovery document and keys (OpenID Connect Discovery 1.0).
// Set gives it keys; it has none before.
type Issuer struct {
	URL string // where it is served; to be set before the first request

	mu   sync.Mutex
	keys []Key
	down bool
}

// Set chooses the keys that the issuer has from now on, and whether it is down.
func (i *Issuer) Set(down bool, keys ...Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down, i.keys = down, keys
}

// ServeHTTP answers 503 while the issuer is down.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var answer any
	switch {
	case i.down:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		answer = map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
	case r.URL.Path == "/keys":
		keys := make([]map[string]string, len(i.keys))
		for n, k := range i.keys {
			keys[n] = k.public()
		}
		answer = map[string]any{"keys": keys}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the authorizer may be gone
}

// Key signs by RS256.
type Key struct {
	ID      string
	Private *rsa.PrivateKey
}

// NewKey makes a key.
func NewKey(id string) (Key, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return Key{id, key}, err
}

// public is the key's entry in the issuer's set (RFC 7517).
func (k Key) public() map[string]string {
	e := big.NewInt(int64(k.Private.E)).Bytes()
	return map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.ID, "n": Encode(k.Private.N.Bytes()), "e": Encode(e)}
}

// Token is a token of the claims, signed by the key (RFC 7519).
func (k Key) Token(claims map[string]any) (string, error) {
	signed, err := Unsigned("RS256", k.ID, claims)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.Private, crypto.SHA256, sum[:])
	return signed + "." + Encode(signature), err
}

// Unsigned is the part of a token that is signed.
func Unsigned(algorithm, keyID string, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]string{"alg": algorithm, "kid": keyID, "typ": "JWT"})
	return Encode(header) + "." + Encode(payload), err
}

// Encode is a token's encoding of bytes.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
