package e2e

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"testing"
	"time"

	"csvexport/infra/internal/openid"
)

// audience is what the tokens of a guarded stack are for.
const audience = "exports"

// issuer is an OpenID issuer on loopback, whose keys and faults a test chooses.
type issuer struct{ openid.Issuer }

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

// claims are those of a good token of a subject, with others laid over them.
func (i *issuer) claims(subject string, over map[string]any) map[string]any {
	c := map[string]any{"iss": i.URL, "aud": audience, "sub": subject, "exp": time.Now().Add(time.Hour).Unix(), "scope": "exports"}
	maps.Copy(c, over)
	return c
}

// owner is who the service says that a subject of the issuer is.
func (i *issuer) owner(subject string) string {
	var b []byte
	for _, text := range []string{i.URL, subject} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type signingKey struct{ openid.Key }

func newKey(t *testing.T, id string) signingKey {
	t.Helper()
	key, err := openid.NewKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{key}
}

// head is the part of a token that is signed.
func head(t *testing.T, algorithm, id string, claims map[string]any) string {
	t.Helper()
	signed, err := openid.Unsigned(algorithm, id, claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (k signingKey) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	token, err := k.Token(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// byPublicKey is signed by HS256, with the public key's PEM as the secret.
func (k signingKey) byPublicKey(t *testing.T, claims map[string]any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&k.Private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := head(t, "HS256", k.ID, claims)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(signed))
	return signed + "." + openid.Encode(mac.Sum(nil))
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
	g.issuer.Set(false, g.key.Key)
	flags := []string{"-ephemeral", "-port", "0"}
	for _, p := range append([]string{"AuthMode=jwt", "AllowAnonymous=false", "AuthIssuer=" + g.issuer.URL, "AuthAudience=" + audience}, parameters...) {
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
