package authorizer_test

import (
	"bytes"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"csvexport/internal/auth"
	"csvexport/internal/auth/authtest"
	"csvexport/internal/authorizer"
	"csvexport/internal/identity"
)

type fixture struct {
	issuer     *authtest.Issuer
	key        authtest.Key
	authorizer *authorizer.Authorizer
	log        *bytes.Buffer
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	f := fixture{issuer: authtest.New(t), key: authtest.RSA(t, "one"), log: &bytes.Buffer{}}
	f.issuer.Publish(f.key)
	f.authorizer = &authorizer.Authorizer{Verifier: auth.New(auth.Config{Issuer: f.issuer.URL, Audience: "exports"}), Scope: "exports"}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(f.log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return f
}

func (f fixture) claims(over map[string]any) map[string]any {
	c := map[string]any{"iss": f.issuer.URL, "aud": "exports", "sub": "anna-secret", "exp": time.Now().Add(time.Hour).Unix(), "scope": "exports"}
	maps.Copy(c, over)
	return c
}

// event is a request for a status, with these values of Authorization.
func event(values ...string) events.APIGatewayCustomAuthorizerRequestTypeRequest {
	e := events.APIGatewayCustomAuthorizerRequestTypeRequest{
		Type: "REQUEST", HTTPMethod: "GET", Resource: "/exports/{id}/status", Path: "/exports/a*b/status",
		MethodArn: "arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET/exports/a*b/status", MultiValueHeaders: map[string][]string{},
	}
	if len(values) > 0 {
		e.MultiValueHeaders["authorization"] = values
	}
	return e
}

func policy(effect, resource string) events.APIGatewayCustomAuthorizerPolicy {
	return events.APIGatewayCustomAuthorizerPolicy{Version: "2012-10-17", Statement: []events.IAMPolicyStatement{{
		Action: []string{"execute-api:Invoke"}, Effect: effect, Resource: []string{"arn:aws:execute-api:eu-west-1:123456789012:abc/v1/GET" + resource},
	}}}
}

func TestAuthorizer_allows(t *testing.T) {
	f := newFixture(t)
	token := f.key.Token(t, f.claims(nil))
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER   "} {
		got, err := f.authorizer.Handle(t.Context(), event(scheme+token))
		if err != nil {
			t.Fatal(err)
		}
		owner := identity.Owner(f.issuer.URL, "anna-secret")
		want := events.APIGatewayCustomAuthorizerResponse{
			PrincipalID: owner, PolicyDocument: policy("Allow", "/exports/*/status"),
			Context: map[string]any{"owner": owner, "subject": "anna-secret", "scopes": "exports", "claims": `{"sub":["anna-secret"]}`},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: answer (-want +got):\n%s", scheme, diff)
		}
	}
}

func TestAuthorizer_refuses(t *testing.T) {
	f := newFixture(t)
	stranger, other := authtest.RSA(t, "one"), authtest.EC(t, "unknown")
	good := f.key.Token(t, f.claims(nil))
	parts := strings.Split(good, ".")
	for name, values := range map[string][]string{
		"missing":              nil,
		"no scheme":            {good},
		"empty":                {""},
		"empty Bearer":         {"Bearer "},
		"Bearer alone":         {"Bearer"},
		"Basic":                {"Basic YTpi"},
		"twice":                {"Bearer " + good, "Bearer " + good},
		"two in one":           {"Bearer " + good + ", Bearer " + good},
		"garbage":              {"Bearer a.b.c"},
		"JSON form":            {`Bearer {"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`},
		"alg none":             {"Bearer " + authtest.Unsigned(t, f.claims(nil))},
		"alg none, signed":     {"Bearer " + authtest.Unsigned(t, f.claims(nil)) + parts[2]},
		"HS256 by public key":  {"Bearer " + f.key.TokenByPublicKey(t, f.claims(nil))},
		"another's signature":  {"Bearer " + stranger.Token(t, f.claims(nil))},
		"unknown key":          {"Bearer " + other.Token(t, f.claims(nil))},
		"signature of another": {"Bearer " + parts[0] + "." + parts[1] + "." + strings.Split(f.key.Token(t, f.claims(map[string]any{"sub": "bert"})), ".")[2]},
		"no signature":         {"Bearer " + parts[0] + "." + parts[1] + "."},
		"expired":              {"Bearer " + f.key.Token(t, f.claims(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}))},
		"not yet valid":        {"Bearer " + f.key.Token(t, f.claims(map[string]any{"nbf": time.Now().Add(time.Minute).Unix()}))},
		"another audience":     {"Bearer " + f.key.Token(t, f.claims(map[string]any{"aud": "secret-audience"}))},
		"another issuer":       {"Bearer " + f.key.Token(t, f.claims(map[string]any{"iss": "https://secret.example"}))},
	} {
		t.Run(name, func(t *testing.T) {
			f.log.Reset()
			got, err := f.authorizer.Handle(t.Context(), event(values...))
			if err == nil || err.Error() != "Unauthorized" {
				t.Errorf("error %v, answer %+v; want Unauthorized", err, got)
			}
			if text := f.log.String(); !strings.Contains(text, `"level":"INFO"`) || !strings.Contains(text, `"reason":"`) ||
				strings.Contains(text, "secret") || strings.Contains(text, parts[1]) {
				t.Errorf("log %s\nwant a reason at info, and nothing of the token", text)
			}
		})
	}
}

func TestAuthorizer_scope(t *testing.T) {
	f := newFixture(t)
	for name, scopes := range map[string]any{"none": "", "another": "exports.read", "a list": []string{"exports"}} {
		got, err := f.authorizer.Handle(t.Context(), event("Bearer "+f.key.Token(t, f.claims(map[string]any{"scope": scopes}))))
		if diff := cmp.Diff(policy("Deny", "/exports/*/status"), got.PolicyDocument); err != nil || diff != "" || got.Context != nil {
			t.Errorf("%s: error %v, context %v, policy (-want +got):\n%s", name, err, got.Context, diff)
		}
	}
}

// Public routes take requests without a token, but no bad token.
func TestAuthorizer_public(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/", "/health", "/openapi.yaml"} {
		e := event()
		e.Resource, e.Path, e.MethodArn = path, path, strings.Replace(e.MethodArn, "/exports/a*b/status", path, 1)
		got, err := f.authorizer.Handle(t.Context(), e)
		if diff := cmp.Diff(policy("Allow", path), got.PolicyDocument); err != nil || diff != "" || got.Context != nil {
			t.Errorf("%s: error %v, context %v, policy (-want +got):\n%s", path, err, got.Context, diff)
		}
		e.Headers = map[string]string{"AUTHORIZATION": "Bearer x"}
		if _, err := f.authorizer.Handle(t.Context(), e); err == nil {
			t.Errorf("%s takes a bad token", path)
		}
		e.Headers, e.HTTPMethod = nil, "POST"
		if _, err := f.authorizer.Handle(t.Context(), e); err == nil {
			t.Errorf("POST %s needs no token", path)
		}
	}
}

func TestAuthorizer_issuerDown(t *testing.T) {
	f := newFixture(t)
	f.issuer.SetDown(true)
	if _, err := f.authorizer.Handle(t.Context(), event("Bearer "+f.key.Token(t, f.claims(nil)))); err == nil || err.Error() == "Unauthorized" {
		t.Errorf("error %v, want one that isn't the token's", err)
	}
}

func TestAuthorizer_none(t *testing.T) {
	got, err := (&authorizer.Authorizer{}).Handle(t.Context(), event("Bearer x"))
	if diff := cmp.Diff(policy("Allow", "/exports/*/status"), got.PolicyDocument); err != nil || diff != "" || got.Context["owner"] != "anonymous" {
		t.Errorf("error %v, context %v, policy (-want +got):\n%s", err, got.Context, diff)
	}
}
