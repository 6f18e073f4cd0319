package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/config"
)

// Nobody is let in by what was left out or mistyped.
func TestLoad_authorizer(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want []string // parts of the error; none for no error
	}{
		"nothing":               {nil, []string{"AUTH_ISSUER isn't set", "AUTH_AUDIENCE isn't set"}},
		"jwt":                   {map[string]string{"AUTH_MODE": "jwt", "AUTH_ISSUER": "https://a.example/realm/", "AUTH_AUDIENCE": "exports"}, nil},
		"issuer on loopback":    {map[string]string{"AUTH_ISSUER": "http://127.0.0.1:1", "AUTH_AUDIENCE": "exports"}, nil},
		"issuer by http":        {map[string]string{"AUTH_ISSUER": "http://a.example", "AUTH_AUDIENCE": "exports"}, []string{"AUTH_ISSUER must be"}},
		"issuer with a query":   {map[string]string{"AUTH_ISSUER": "https://a.example?x", "AUTH_AUDIENCE": "exports"}, []string{"AUTH_ISSUER must be"}},
		"issuer is no URL":      {map[string]string{"AUTH_ISSUER": "a.example", "AUTH_AUDIENCE": "exports"}, []string{"AUTH_ISSUER must be"}},
		"several at once":       {map[string]string{"AUTH_ISSUER": "x", "AUTH_SCOPE": "a b", "AUTH_CLAIMS": "a,,b"}, []string{"AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_SCOPE", "AUTH_CLAIMS"}},
		"none":                  {map[string]string{"AUTH_MODE": "none"}, []string{"ALLOW_ANONYMOUS"}},
		"none, not allowed":     {map[string]string{"AUTH_MODE": "none", "ALLOW_ANONYMOUS": "false"}, []string{"ALLOW_ANONYMOUS"}},
		"none, allowed":         {map[string]string{"AUTH_MODE": "none", "ALLOW_ANONYMOUS": "true"}, nil},
		"iam has no authorizer": {map[string]string{"AUTH_MODE": "iam"}, []string{"AUTH_MODE=iam"}},
		"unknown mode":          {map[string]string{"AUTH_MODE": "None", "ALLOW_ANONYMOUS": "true"}, []string{"AUTH_MODE must be"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(getenv(test.env), config.Authorizer)
			if (err == nil) != (test.want == nil) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error doesn't say %q:\n%v", part, err)
				}
			}
		})
	}
	c, err := config.Load(getenv(map[string]string{"AUTH_CLAIMS": "tenant,groups"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"tenant", "groups"}, c.AuthClaims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}
