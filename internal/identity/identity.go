// Package identity says who sends a request: what an authorizer verified, in
// the form in which API Gateway hands it on to the functions.
package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Identity is a verified caller. The zero value is nobody, who may use the
// public routes only.
type Identity struct {
	Owner   string              // whose exports the caller's are; see Owner
	Subject string              // who, for the audit log; empty for Anonymous
	Scopes  []string            // of the token
	Claims  map[string][]string // verified claims by name, each as a list of texts
}

// Anonymous is everybody where nobody signs in.
func Anonymous() Identity { return Identity{Owner: "anonymous"} }

// Owner names the owner that a subject of an issuer is: the hexadecimal
// SHA-256 of both, each behind its length (8 bytes, big endian), so that no
// two pairs are written alike.
func Owner(issuer, subject string) string {
	var b []byte
	for _, text := range []string{issuer, subject} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Context is the identity as the context of an authorizer's answer, which has
// texts only: owner, subject, scopes (separated by one space) and claims
// (JSON). It is nil for nobody.
func (i Identity) Context() map[string]any {
	if i.Owner == "" {
		return nil
	}
	claims := i.Claims
	if claims == nil {
		claims = map[string][]string{}
	}
	text, err := json.Marshal(claims)
	if err != nil { // texts always encode
		panic(err)
	}
	return map[string]any{"owner": i.Owner, "subject": i.Subject, "scopes": strings.Join(i.Scopes, " "), "claims": string(text)}
}

// FromContext reads what Context wrote. Without an owner it is nobody.
func FromContext(context map[string]any) (Identity, error) {
	text := func(name string) string {
		s, _ := context[name].(string)
		return s
	}
	i := Identity{Owner: text("owner"), Subject: text("subject"), Scopes: strings.Fields(text("scopes"))}
	if i.Owner == "" {
		return Identity{}, nil
	}
	if claims := text("claims"); claims != "" {
		if err := json.Unmarshal([]byte(claims), &i.Claims); err != nil {
			return Identity{}, fmt.Errorf("authorizer's claims: %w", err)
		}
	}
	return i, nil
}

// iamIssuer stands for AWS IAM in an owner: it is no issuer's URL.
const iamIssuer = "aws-iam"

// FromIAM is the identity of a request that API Gateway itself verified by its
// signature (AWS_IAM). caller is its requestContext.identity.caller: a user's
// unique id, or a role's with the session's name behind a colon. All sessions
// of a role are one owner. Without a caller it is nobody.
func FromIAM(caller, userARN string) Identity {
	principal, _, _ := strings.Cut(caller, ":")
	if principal == "" {
		return Identity{}
	}
	subject := userARN
	if subject == "" {
		subject = caller
	}
	return Identity{Owner: Owner(iamIssuer, principal), Subject: subject, Claims: map[string][]string{"sub": {principal}}}
}
