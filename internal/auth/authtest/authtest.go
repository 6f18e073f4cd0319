// Package authtest is an OpenID issuer for tests: a real server of a discovery
// document and keys, and its tokens.
package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an issuer whose keys and faults a test chooses.
type Issuer struct {
	URL string

	mu       sync.Mutex
	keys     []jose.JSONWebKey
	down     bool
	requests int // for keys
}

// New starts an issuer without keys, until the test's end.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.serve(w, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}, 0)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		keys := i.keys
		i.mu.Unlock()
		i.serve(w, jose.JSONWebKeySet{Keys: keys}, 1)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

func (i *Issuer) serve(w http.ResponseWriter, v any, count int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests += count
	if i.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// SetDown makes the issuer fail, or work again.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Requests is how often the issuer was asked for its keys.
func (i *Issuer) Requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

// Publish makes the public halves of these keys the issuer's keys, and drops
// every other.
func (i *Issuer) Publish(keys ...Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = nil
	for _, k := range keys {
		i.keys = append(i.keys, k.private.Public())
	}
}

// Key signs tokens.
type Key struct{ private jose.JSONWebKey }

// RSA makes a key for RS256 with this id.
func RSA(t testing.TB, id string) Key {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return Key{jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.RS256), Use: "sig"}}
}

// EC makes a key for ES256 with this id.
func EC(t testing.TB, id string) Key {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Key{jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.ES256), Use: "sig"}}
}

// Token signs claims.
func (k Key) Token(t testing.TB, claims map[string]any) string {
	t.Helper()
	return sign(t, jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.private.Algorithm), Key: k.private}, claims)
}

// TokenByPublicKey signs claims by HS256 with the key's public half as the
// secret: what a verifier must not mistake for the key's own signature.
func (k Key) TokenByPublicKey(t testing.TB, claims map[string]any) string {
	t.Helper()
	public, err := json.Marshal(k.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: k.private.KeyID}}, claims)
}

// Unsigned is a token of alg none.
func Unsigned(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + "."
}

func sign(t testing.TB, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
