// Package auth verifies bearer tokens of one OpenID issuer for one audience,
// and tells who sent them. A token that can't be verified because the issuer
// can't be asked is told from one that is bad.
package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"csvexport/internal/export"
	"csvexport/internal/identity"
)

// leeway is how much earlier than its nbf a token is good, for clocks that differ.
const leeway = 30 * time.Second

// maxToken is what API Gateway takes as all of a request's headers, in bytes.
const maxToken = 10240

// algorithms are those of public keys. What is signed by a shared secret, or
// not at all, is no proof.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Config says whose tokens are good.
type Config struct {
	Issuer   string // as the tokens' iss and the discovery document have it
	Audience string
	Claims   []string // names of those that Verify passes on, beside sub
	Client   *http.Client
	Now      func() time.Time // nil: time.Now
}

// Verifier verifies tokens. It asks the issuer first when it needs to.
type Verifier struct {
	config     Config
	keys       keySet
	algorithms []string // as go-oidc names them
}

// New returns a verifier. It asks nobody yet.
func New(c Config) *Verifier {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: fetchTimeout}
	}
	v := &Verifier{config: c, keys: keySet{issuer: c.Issuer, client: c.Client, now: c.Now}}
	for _, a := range algorithms {
		v.algorithms = append(v.algorithms, string(a))
	}
	return v
}

// compact is a signed token's form (RFC 7515, section 3.1).
var compact = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// Verify returns who a token is of. Its error is Unauthenticated for a token
// that is bad, with a reason that holds nothing of the token, or Unavailable
// if the issuer can't be asked.
func (v *Verifier) Verify(ctx context.Context, token string) (identity.Identity, error) {
	if len(token) > maxToken || !compact.MatchString(token) {
		return identity.Identity{}, refuse("it isn't of a signed token's form")
	}
	signed := &signature{keys: &v.keys}
	verified, err := oidc.NewVerifier(v.config.Issuer, signed, &oidc.Config{
		ClientID: v.config.Audience, SupportedSigningAlgs: v.algorithms, Now: v.config.Now,
	}).Verify(ctx, token)
	switch {
	case signed.err != nil: // the library only quotes it
		return identity.Identity{}, signed.err
	case err != nil:
		return identity.Identity{}, refuse(v.reason(signed, err))
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(signed.payload))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return identity.Identity{}, refuse("its claims are no JSON object")
	}
	// The library's own leeway is five minutes.
	var times struct {
		NotBefore *float64 `json:"nbf"`
	}
	if err := json.Unmarshal(signed.payload, &times); err != nil {
		return identity.Identity{}, refuse("its nbf is no number")
	}
	if n := times.NotBefore; n != nil && *n > float64(v.config.Now().Add(leeway).Unix()) {
		return identity.Identity{}, refuse("it isn't valid yet")
	}
	if verified.Subject == "" {
		return identity.Identity{}, refuse("it has no subject")
	}
	return v.identity(verified.Subject, claims), nil
}

// reason says in words why the library refused a token, and nothing of what is in it.
func (v *Verifier) reason(signed *signature, err error) string {
	if _, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return "it has expired, or doesn't say when it does"
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	switch {
	case signed.payload == nil:
		return "it is malformed, or not signed by an algorithm of public keys"
	case json.Unmarshal(signed.payload, &claims) != nil:
		return "its claims can't be read"
	case claims.Issuer != v.config.Issuer:
		return "it is of another issuer"
	default:
		return "it is for another audience, isn't valid yet, or its claims can't be read"
	}
}

func (v *Verifier) identity(subject string, claims map[string]any) identity.Identity {
	i := identity.Identity{
		Owner: identity.Owner(v.config.Issuer, subject), Subject: subject,
		Scopes: scopes(claims), Claims: map[string][]string{"sub": {subject}},
	}
	for _, name := range v.config.Claims {
		if values := texts(claims[name]); len(values) > 0 {
			i.Claims[name] = values
		}
	}
	return i
}

// scopes are those of scope (RFC 8693), a text, or of scp, a text or a list.
func scopes(claims map[string]any) []string {
	if scope, ok := claims["scope"].(string); ok {
		return strings.Fields(scope)
	}
	var all []string
	for _, text := range texts(claims["scp"]) {
		all = append(all, strings.Fields(text)...)
	}
	return all
}

// texts is a claim as a list of texts: nil unless it is a text, number or
// boolean, or a list of those.
func texts(claim any) []string {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case json.Number:
		return []string{c.String()}
	case bool:
		if c {
			return []string{"true"}
		}
		return []string{"false"}
	case []any:
		var all []string
		for _, item := range c {
			if _, nested := item.([]any); nested {
				return nil
			}
			one := texts(item)
			if one == nil {
				return nil
			}
			all = append(all, one...)
		}
		return all
	default:
		return nil
	}
}

// signature verifies one token's signature for the library, and keeps what
// came of it.
type signature struct {
	keys    *keySet
	payload []byte
	err     error
}

// VerifySignature is oidc.KeySet's.
func (s *signature) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, err
	}
	s.payload, s.err = s.keys.verify(ctx, parsed)
	return s.payload, s.err
}

func refuse(reason string) error {
	return &export.Error{Code: export.Unauthenticated, Message: "The token isn't valid.", Err: errors.New(reason)}
}
