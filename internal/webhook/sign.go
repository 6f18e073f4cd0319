// Package webhook sends webhooks as Standard Webhooks 1.0.0 says
// (standardwebhooks.com, "Specification"): signed, by HTTPS, to public
// addresses, one attempt at a time. When to try again is its caller's decision.
package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The headers of a webhook, and what a secret begins with.
const (
	idHeader        = "webhook-id"
	timestampHeader = "webhook-timestamp"
	signatureHeader = "webhook-signature"
	secretPrefix    = "whsec_"
)

// The standard's bounds of a secret, and the length of our own, in bytes.
const (
	minSecret = 24
	maxSecret = 64
	ourSecret = 32
)

// NewSecret makes a secret, in the form that it is shown in.
func NewSecret() string {
	b := make([]byte, ourSecret)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// Secrets are the keys that a webhook is signed with: usually one, and for the
// time in which a receiver changes over to another one, both.
type Secrets struct{ keys [][]byte }

// ParseSecrets reads secrets separated by blanks. Its error doesn't quote them.
func ParseSecrets(text string) (Secrets, error) {
	var s Secrets
	for secret := range strings.FieldsSeq(text) {
		encoded, ok := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
			return Secrets{}, fmt.Errorf("a webhook secret is %s and %d to %d bytes in base64", secretPrefix, minSecret, maxSecret)
		}
		s.keys = append(s.keys, key)
	}
	if len(s.keys) == 0 {
		return Secrets{}, errors.New("there is no webhook secret")
	}
	return s, nil
}

// signature is the value of the signature's header: of the id, the time of the
// attempt in whole seconds, and the body, with a full stop between them.
func (s Secrets) signature(id string, at time.Time, body []byte) string {
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
