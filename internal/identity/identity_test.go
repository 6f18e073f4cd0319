package identity_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/identity"
)

// Who is the same owner, and who another.
func TestOwner(t *testing.T) {
	seen := map[string][2]string{}
	for _, pair := range [][2]string{
		{"https://a.example", "anna"}, {"https://a.example", "bert"}, {"https://b.example", "anna"},
		{"https://a.examplea", "nna"}, {"", "https://a.exampleanna"}, {"anna", "https://a.example"}, {"https://a.example", "anna "},
	} {
		owner := identity.Owner(pair[0], pair[1])
		if other, ok := seen[owner]; ok || len(owner) != 64 {
			t.Errorf("%q and %q have the owner %s", pair, other, owner)
		}
		seen[owner] = pair
	}
	// Files and records of a deployment are found by this: it must not change.
	if got, want := identity.Owner("https://a.example", "anna"), "f536c8f8d680de73b49882be37723d543ed911fa2725d8d3a31458da2108cbcc"; got != want {
		t.Errorf("owner %s, want %s", got, want)
	}
}

func TestContext(t *testing.T) {
	for name, want := range map[string]identity.Identity{
		"nobody":    {},
		"anonymous": {Owner: "anonymous", Claims: map[string][]string{}},
		"a token's": {
			Owner: "0a1b", Subject: "anna|1 2", Scopes: []string{"exports", "pii"},
			Claims: map[string][]string{"tenant": {"a b", `"`}, "sub": {"anna"}},
		},
	} {
		got, err := identity.FromContext(want.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Scopes, got.Scopes); len(want.Scopes) > 0 && diff != "" {
			t.Errorf("%s: scopes (-want +got):\n%s", name, diff)
		}
		want.Scopes, got.Scopes = nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, context := range map[string]map[string]any{
		"no owner": {"subject": "anna", "scopes": "pii"}, "an owner that is no text": {"owner": 1},
	} {
		if got, err := identity.FromContext(context); err != nil || got.Owner != "" || got.Subject != "" || got.Scopes != nil {
			t.Errorf("%s: %+v (%v), want nobody", name, got, err)
		}
	}
	if got, err := identity.FromContext(map[string]any{"owner": "0a1b", "claims": "{"}); err == nil || got.Owner != "" {
		t.Errorf("claims that are no JSON: %+v", got)
	}
}

func TestFromIAM(t *testing.T) {
	role := identity.FromIAM("AROAEXAMPLE:session", "arn:aws:sts::1:assumed-role/r/session")
	other := identity.FromIAM("AROAEXAMPLE:another", "arn:aws:sts::1:assumed-role/r/another")
	user := identity.FromIAM("AIDAEXAMPLE", "")
	if role.Owner != other.Owner || role.Owner == user.Owner || role.Owner == identity.Owner("https://aws-iam", "AROAEXAMPLE") {
		t.Errorf("owners %s, %s, %s", role.Owner, other.Owner, user.Owner)
	}
	if role.Subject != "arn:aws:sts::1:assumed-role/r/session" || user.Subject != "AIDAEXAMPLE" {
		t.Errorf("subjects %s, %s", role.Subject, user.Subject)
	}
	for _, caller := range []string{"", ":session"} {
		if got := identity.FromIAM(caller, "arn"); got.Owner != "" {
			t.Errorf("caller %q is %+v, want nobody", caller, got)
		}
	}
}
