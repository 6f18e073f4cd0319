package auth_test

import (
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/auth"
	"csvexport/internal/auth/authtest"
	"csvexport/internal/export"
	"csvexport/internal/identity"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type fixture struct {
	issuer   *authtest.Issuer
	key      authtest.Key
	clock    *clock
	verifier *auth.Verifier
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	f := fixture{issuer: authtest.New(t), key: authtest.RSA(t, "one"), clock: &clock{at: time.Now()}}
	f.issuer.Publish(f.key)
	f.verifier = auth.New(auth.Config{Issuer: f.issuer.URL, Audience: "exports", Claims: []string{"tenant", "level", "groups", "deep", "mixed", "none"}, Now: f.clock.now})
	return f
}

// claims are good ones, with others laid over; nil takes one out.
func (f fixture) claims(over map[string]any) map[string]any {
	c := map[string]any{"iss": f.issuer.URL, "aud": "exports", "sub": "anna", "exp": f.clock.now().Add(24 * time.Hour).Unix()}
	maps.Copy(c, over)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// verify returns the code of the error; empty for a good token.
func (f fixture) verify(t *testing.T, token string) export.Code {
	t.Helper()
	if _, err := f.verifier.Verify(t.Context(), token); err != nil {
		return export.CodeOf(err)
	}
	return ""
}

func TestVerifier_identity(t *testing.T) {
	f := newFixture(t)
	f.issuer.Publish(authtest.EC(t, "other"), f.key)
	token := f.key.Token(t, f.claims(map[string]any{
		"aud": []string{"others", "exports"}, "scope": "exports pii", "tenant": "acme", "level": 12345678901234567, "groups": []any{"a", 1, true},
		"deep": map[string]any{"a": 1}, "mixed": []any{"a", nil}, "secret": "not named", "nbf": f.clock.now().Unix(),
	}))
	got, err := f.verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Identity{
		Owner: identity.Owner(f.issuer.URL, "anna"), Subject: "anna", Scopes: []string{"exports", "pii"},
		Claims: map[string][]string{"sub": {"anna"}, "tenant": {"acme"}, "level": {"12345678901234567"}, "groups": {"a", "1", "true"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	for name, scp := range map[string]any{"text": "exports pii", "list": []string{"exports", "pii"}} {
		got, err := f.verifier.Verify(t.Context(), f.key.Token(t, f.claims(map[string]any{"scp": scp})))
		if diff := cmp.Diff(want.Scopes, got.Scopes); err != nil || diff != "" {
			t.Errorf("scp as a %s (%v): (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestVerifier_times(t *testing.T) {
	f := newFixture(t)
	now := f.clock.now()
	for _, test := range []struct {
		name   string
		claims map[string]any
		good   bool
	}{
		{"expired just now", map[string]any{"exp": now.Add(-time.Second).Unix()}, false},
		{"about to expire", map[string]any{"exp": now.Add(2 * time.Second).Unix()}, true},
		{"no exp", map[string]any{"exp": nil}, false},
		{"valid in a minute", map[string]any{"nbf": now.Add(time.Minute).Unix()}, false},
		{"valid in 35 s", map[string]any{"nbf": now.Add(35 * time.Second).Unix()}, false},
		{"valid in 25 s", map[string]any{"nbf": now.Add(25 * time.Second).Unix()}, true},
		{"nbf is a text", map[string]any{"nbf": "2020-01-01"}, false},
		{"no sub", map[string]any{"sub": nil}, false},
		{"empty sub", map[string]any{"sub": ""}, false},
		{"sub is a number", map[string]any{"sub": 1}, false},
		{"no aud", map[string]any{"aud": nil}, false},
		{"no iss", map[string]any{"iss": nil}, false},
	} {
		got := f.verify(t, f.key.Token(t, f.claims(test.claims)))
		if want := map[bool]export.Code{true: "", false: export.Unauthenticated}[test.good]; got != want {
			t.Errorf("%s: %q, want %q", test.name, got, want)
		}
	}
	if got := f.verify(t, f.key.Token(t, f.claims(map[string]any{"pad": strings.Repeat("x", 10000)}))); got != export.Unauthenticated {
		t.Errorf("a token of more than 10 KB: %q", got)
	}
}

// A new key works without a restart; one that the issuer dropped stops to
// when another comes, or after five minutes.
func TestVerifier_rotation(t *testing.T) {
	f := newFixture(t)
	two := authtest.EC(t, "two")
	byOne, byTwo := f.key.Token(t, f.claims(nil)), two.Token(t, f.claims(nil))
	want := func(what, token string, code export.Code) {
		t.Helper()
		if got := f.verify(t, token); got != code {
			t.Errorf("%s: %q, want %q", what, got, code)
		}
	}
	want("the first key", byOne, "")
	want("a key to come", byTwo, export.Unauthenticated)
	f.issuer.Publish(f.key, two)
	f.clock.pass(11 * time.Second)
	want("the new key", byTwo, "")
	want("the old key beside it", byOne, "")
	f.issuer.Publish(two)
	f.clock.pass(4 * time.Minute)
	want("the dropped key, known for a while", byOne, "")
	f.clock.pass(61 * time.Second)
	want("the dropped key after five minutes", byOne, export.Unauthenticated)
	want("the new key", byTwo, "")
}

// Forged tokens don't make the issuer's load.
func TestVerifier_forgedKeyIDs(t *testing.T) {
	f := newFixture(t)
	if got := f.verify(t, f.key.Token(t, f.claims(nil))); got != "" {
		t.Fatal(got)
	}
	forger := authtest.RSA(t, "one")
	for range 50 {
		if got := f.verify(t, forger.Token(t, f.claims(nil))); got != export.Unauthenticated {
			t.Fatal(got)
		}
	}
	if n := f.issuer.Requests(); n != 1 {
		t.Errorf("the issuer was asked %d times, want 1", n)
	}
	f.clock.pass(11 * time.Second)
	for range 50 {
		f.verify(t, forger.Token(t, f.claims(nil)))
	}
	if n := f.issuer.Requests(); n != 2 {
		t.Errorf("the issuer was asked %d times, want 2", n)
	}
}

// An issuer that can't be asked is no fault of the token. A failure is
// remembered for a second; known keys last for an hour.
func TestVerifier_issuerDown(t *testing.T) {
	f := newFixture(t)
	token := f.key.Token(t, f.claims(nil))
	f.issuer.SetDown(true)
	for range 2 {
		if got := f.verify(t, token); got != export.Unavailable {
			t.Fatalf("cold, issuer down: %q", got)
		}
	}
	f.issuer.SetDown(false)
	if got := f.verify(t, token); got != export.Unavailable {
		t.Errorf("within a second: %q", got)
	}
	f.clock.pass(time.Second)
	if got := f.verify(t, token); got != "" {
		t.Fatalf("the issuer is back: %q", got)
	}
	f.issuer.SetDown(true)
	f.clock.pass(59 * time.Minute)
	if got := f.verify(t, token); got != "" {
		t.Errorf("known keys, issuer down: %q", got)
	}
	if got := f.verify(t, authtest.RSA(t, "unknown").Token(t, f.claims(nil))); got != export.Unavailable {
		t.Errorf("unknown key, issuer down: %q", got)
	}
	f.clock.pass(2 * time.Minute)
	if got := f.verify(t, token); got != export.Unavailable {
		t.Errorf("keys older than an hour: %q", got)
	}
}
