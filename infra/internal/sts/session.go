// Package sts stands in for AWS STS: it answers AssumeRole with a session that
// the local S3 takes, for roles of the local account only.
//
// Nothing is kept: a session's secret and token are made of its access key, so
// that S3, which runs in another process, knows them.
package sts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// keyPrefix is what the access keys of all sessions begin with (IAM User
// Guide, "IAM identifiers").
const keyPrefix = "ASIA"

// Session is what somebody who assumed a role signs with.
type Session struct{ AccessKey, SecretKey, Token string }

// sessionOf is the session of a role under a name.
func sessionOf(role, name string) Session {
	s, _ := SessionOf(keyPrefix + strings.ToUpper(digest("key", role+"\n"+name)[:16]))
	return s
}

// SessionOf is the session with the given access key; ok is false for a key
// that isn't of a session.
func SessionOf(accessKey string) (s Session, ok bool) {
	if !strings.HasPrefix(accessKey, keyPrefix) {
		return Session{}, false
	}
	return Session{AccessKey: accessKey, SecretKey: digest("secret", accessKey), Token: digest("token", accessKey)}, true
}

// Secrets are the secret keys of sessions.
type Secrets func(Session) string

// Each gives every session its own, which SessionOf knows.
func Each(s Session) string { return s.SecretKey }

// Shared gives all sessions the same: for an S3 that takes one secret for every
// access key that it doesn't know, as LocalStack does.
func Shared(secret string) Secrets { return func(Session) string { return secret } }

func digest(what, of string) string {
	h := hmac.New(sha256.New, []byte("local stack"))
	h.Write([]byte(what + "\n" + of))
	return hex.EncodeToString(h.Sum(nil))
}

// SigningKey is the key of a day, region and service that requests of the
// session are signed with (IAM User Guide, "Create a signed AWS API request").
func (s Session) SigningKey(date, region, service string) []byte {
	key := []byte("AWS4" + s.SecretKey)
	for _, part := range []string{date, region, service, "aws4_request"} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return key
}
