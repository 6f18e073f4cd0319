package e2e

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// audience is what the tokens of a guarded stack are for.
const audience = "exports"

// issuer is an OpenID issuer on loopback, whose keys and faults a test chooses.
type issuer struct {
	url string

	mu   sync.Mutex
	keys []signingKey
	down bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	answer := func(w http.ResponseWriter, v func() any) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v()) // the authorizer may be gone
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, func() any { return map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"} })
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, func() any {
			keys := []map[string]string{}
			for _, k := range i.keys {
				keys = append(keys, k.public())
			}
			return map[string]any{"keys": keys}
		})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

// set chooses the keys that the issuer has from now on, and whether it is down.
func (i *issuer) set(down bool, keys ...signingKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down, i.keys = down, keys
}

// claims are those of a good token of a subject, with others laid over them.
func (i *issuer) claims(subject string, over map[string]any) map[string]any {
	c := map[string]any{"iss": i.url, "aud": audience, "sub": subject, "exp": time.Now().Add(time.Hour).Unix(), "scope": "exports"}
	maps.Copy(c, over)
	return c
}

// owner is who the service says that a subject of the issuer is.
func (i *issuer) owner(subject string) string {
	var b []byte
	for _, text := range []string{i.url, subject} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// signingKey signs by RS256. It is written without a library for tokens, so
// that none is compared with itself.
type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

func newKey(t *testing.T, id string) signingKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{id, key}
}

var encode = base64.RawURLEncoding.EncodeToString

func (k signingKey) public() map[string]string {
	e := big.NewInt(int64(k.key.E)).Bytes()
	return map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.id, "n": encode(k.key.N.Bytes()), "e": encode(e)}
}

// head is the part of a token that is signed.
func head(t *testing.T, algorithm, id string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	header, err := json.Marshal(map[string]string{"alg": algorithm, "kid": id, "typ": "JWT"})
	if err != nil {
		t.Fatal(err)
	}
	return encode(header) + "." + encode(payload)
}

func (k signingKey) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	signed := head(t, "RS256", k.id, claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

// byPublicKey is signed by HS256, with the public key's PEM as the secret.
func (k signingKey) byPublicKey(t *testing.T, claims map[string]any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&k.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := head(t, "HS256", k.id, claims)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// guarded is a stack of its own whose callers sign in at an issuer.
type guarded struct {
	*local
	issuer *issuer
	key    signingKey
}

// newGuarded starts a stack in the mode jwt, until the test's end. Parameters
// of template.yaml are given as NAME=VALUE, beside those of the issuer.
func newGuarded(t *testing.T, parameters ...string) guarded {
	t.Helper()
	g := guarded{issuer: newIssuer(t), key: newKey(t, "first")}
	g.issuer.set(false, g.key)
	flags := []string{"-ephemeral", "-port", "0"}
	for _, p := range append([]string{"AuthMode=jwt", "AllowAnonymous=false", "AuthIssuer=" + g.issuer.url, "AuthAudience=" + audience}, parameters...) {
		flags = append(flags, "-param", p)
	}
	var err error
	if g.local, err = up(stackName(hex.EncodeToString([]byte(rand.Text()[:4]))), flags...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// as returns the stack as a subject sees it, with a good token over whose
// claims others may be laid.
func (g guarded) as(t *testing.T, subject string, over map[string]any) *local {
	t.Helper()
	return g.with("Bearer " + g.key.token(t, g.issuer.claims(subject, over)))
}

// with returns the stack as somebody sees it who sends this Authorization.
func (g guarded) with(authorization string) *local {
	l := *g.local
	l.authorization = authorization
	return &l
}
