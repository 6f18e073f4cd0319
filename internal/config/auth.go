package config

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
)

// AuthMode says how callers prove who they are.
type AuthMode string

// The modes.
const (
	JWT    AuthMode = "jwt"  // by a bearer token of an OpenID issuer
	NoAuth AuthMode = "none" // not at all: all are one owner
	IAM    AuthMode = "iam"  // by an AWS signature, which API Gateway itself checks
)

// checkAuthorizer checks what only the authorizer needs.
func (c Config) checkAuthorizer() []error {
	var problems []error
	switch c.AuthMode {
	case NoAuth:
		if !c.AllowAnonymous {
			problems = append(problems, errors.New("AUTH_MODE=none lets everybody in: it needs ALLOW_ANONYMOUS=true"))
		}
	case IAM:
		problems = append(problems, errors.New("AUTH_MODE=iam is for an API that API Gateway guards itself; then it asks no authorizer"))
	case JWT:
		if u, err := url.Parse(c.AuthIssuer); c.AuthIssuer == "" {
			problems = append(problems, errors.New("AUTH_ISSUER isn't set; AUTH_MODE=jwt needs it"))
		} else if err != nil || !safe(u) {
			problems = append(problems, errors.New("AUTH_ISSUER must be an https URL, or an http URL on loopback, without a query or a fragment"))
		}
		if c.AuthAudience == "" {
			problems = append(problems, errors.New("AUTH_AUDIENCE isn't set; AUTH_MODE=jwt needs it"))
		}
		if strings.ContainsAny(c.AuthScope, " \t") {
			problems = append(problems, errors.New("AUTH_SCOPE must be one scope"))
		}
		if slices.Contains(c.AuthClaims, "") {
			problems = append(problems, errors.New("AUTH_CLAIMS must be names of claims, separated by commas without blanks"))
		}
	}
	return problems
}

// safe reports whether what an issuer's URL answers is the issuer's: nobody on
// the way can change it.
func safe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	plain := u.Hostname() != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
	return plain && (u.Scheme == "https" || u.Scheme == "http" && local)
}
