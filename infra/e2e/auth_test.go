package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"
)

// checkUnauthorized checks a 401 as API Gateway, or a handler, makes it.
func checkUnauthorized(t *testing.T, a answer) {
	t.Helper()
	checkProblem(t, a, http.StatusUnauthorized, "unauthenticated")
	if got := a.header.Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate %q, want Bearer", got)
	}
}

// Who has a good token gets in, and nobody else: each wrong token, and an
// issuer that fails, has an answer of its own.
func TestAuth(t *testing.T) {
	g := newGuarded(t, "AuthScope=exports")
	t.Run("issuer down at first", func(t *testing.T) {
		g.issuer.Set(true)
		a := g.as(t, "anna", nil).get(t, "/exports")
		checkProblem(t, a, http.StatusServiceUnavailable, "unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		g.issuer.Set(false, g.key.Key)
		eventually(t, 5*time.Second, "the issuer is asked again", func() bool { return g.as(t, "anna", nil).get(t, "/exports").status == http.StatusOK })
	})
	t.Run("tokens", func(t *testing.T) { checkBadTokens(t, g) })
	t.Run("scope", func(t *testing.T) {
		for _, scope := range []string{"", "export", "exports.read other"} {
			a := g.as(t, "anna", map[string]any{"scope": scope}).get(t, "/exports")
			checkProblem(t, a, http.StatusForbidden, "forbidden")
		}
		for _, claims := range []map[string]any{{"scope": "other exports"}, {"scope": nil, "scp": []string{"exports"}}} {
			if a := g.as(t, "anna", claims).get(t, "/exports"); a.status != http.StatusOK {
				t.Errorf("%v: %d\n%s", claims, a.status, a.body)
			}
		}
	})
	t.Run("public routes", func(t *testing.T) { checkPublic(t, g) })
	t.Run("rotation", func(t *testing.T) { checkRotation(t, g) })
}

func checkBadTokens(t *testing.T, g guarded) {
	claims := func(over map[string]any) map[string]any { return g.issuer.claims("anna", over) }
	good := g.key.token(t, claims(nil))
	other := newIssuer(t)
	stranger := newKey(t, g.key.ID)
	other.Set(false, stranger.Key)
	parts := strings.Split(good, ".")
	none := head(t, "none", g.key.ID, claims(nil))
	for name, value := range map[string]string{
		"missing":                      "",
		"garbage":                      "Bearer garbage",
		"three parts of garbage":       "Bearer a.b.c",
		"empty Bearer":                 "Bearer ",
		"Bearer alone":                 "Bearer",
		"Basic":                        "Basic YW5uYTpzZWNyZXQ=",
		"no scheme":                    good,
		"alg none":                     "Bearer " + none + ".",
		"alg none with a signature":    "Bearer " + none + "." + parts[2],
		"HS256 by the public key":      "Bearer " + g.key.byPublicKey(t, claims(nil)),
		"expired":                      "Bearer " + g.key.token(t, claims(map[string]any{"exp": time.Now().Add(-2 * time.Second).Unix()})),
		"no expiry":                    "Bearer " + g.key.token(t, claims(map[string]any{"exp": nil})),
		"not yet valid":                "Bearer " + g.key.token(t, claims(map[string]any{"nbf": time.Now().Add(time.Minute).Unix()})),
		"wrong audience":               "Bearer " + g.key.token(t, claims(map[string]any{"aud": "others"})),
		"no audience":                  "Bearer " + g.key.token(t, claims(map[string]any{"aud": nil})),
		"wrong issuer":                 "Bearer " + g.key.token(t, claims(map[string]any{"iss": other.URL})),
		"another issuer's":             "Bearer " + stranger.token(t, other.claims("anna", nil)),
		"no subject":                   "Bearer " + g.key.token(t, claims(map[string]any{"sub": nil})),
		"unknown key":                  "Bearer " + newKey(t, "unknown").token(t, claims(nil)),
		"another's signature":          "Bearer " + stranger.token(t, claims(nil)),
		"other claims, same signature": "Bearer " + head(t, "RS256", g.key.ID, claims(map[string]any{"sub": "bert"})) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			for _, route := range [][2]string{{"GET", "/exports"}, {"POST", "/exports/csv"}, {"GET", "/v1/exports/" + unknownID + "/download"}, {"DELETE", "/exports/" + unknownID}} {
				checkUnauthorized(t, g.with(value).request(t, route[0], route[1], ""))
			}
		})
	}
	t.Run("two headers", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.BaseURL+"/exports", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good}
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		checkUnauthorized(t, answer{resp.StatusCode, resp.Header, readAll(t, resp.Body)})
	})
	if a := g.with("bearer  "+good).get(t, "/exports"); a.status != http.StatusOK {
		t.Errorf("a good token: %d\n%s", a.status, a.body)
	}
	for _, line := range g.logs(t, "authorize") {
		if bytes.Contains(line, []byte(parts[1])) || bytes.Contains(line, []byte("anna")) {
			t.Errorf("the authorizer's log tells what is in a token: %s", line)
		}
	}
}

// checkPublic asks for routes that need no token.
func checkPublic(t *testing.T, g guarded) {
	if a := g.get(t, "/health"); a.status != http.StatusOK {
		t.Errorf("health: %d\n%s", a.status, a.body)
	}
	checkUnauthorized(t, g.get(t, "/health?deep=true"))
	checkUnauthorized(t, g.with("Bearer x").get(t, "/health"))
	if a := g.as(t, "anna", nil).get(t, "/health?deep=true"); a.status != http.StatusOK {
		t.Errorf("deep health of an owner: %d\n%s", a.status, a.body)
	}
	checkProblem(t, g.get(t, "/nothing"), http.StatusNotFound, "not_found")
}

// checkRotation changes the issuer's key: the new one works within 10 s, with
// no restart, and the old one has then stopped to.
func checkRotation(t *testing.T, g guarded) {
	second := newKey(t, "second")
	byFirst, bySecond := g.as(t, "anna", nil), g.with("Bearer "+second.token(t, g.issuer.claims("anna", nil)))
	checkUnauthorized(t, bySecond.get(t, "/exports"))
	g.issuer.Set(false, g.key.Key, second.Key)
	eventually(t, 12*time.Second, "the new key works", func() bool { return bySecond.get(t, "/exports").status == http.StatusOK })
	if a := byFirst.get(t, "/exports"); a.status != http.StatusOK {
		t.Errorf("the first key beside it: %d\n%s", a.status, a.body)
	}
	third := newKey(t, "third")
	g.issuer.Set(false, third.Key)
	byThird := g.with("Bearer " + third.token(t, g.issuer.claims("anna", nil)))
	eventually(t, 12*time.Second, "the third key works", func() bool { return byThird.get(t, "/exports").status == http.StatusOK })
	checkUnauthorized(t, byFirst.get(t, "/exports"))
	checkUnauthorized(t, bySecond.get(t, "/exports"))
}
