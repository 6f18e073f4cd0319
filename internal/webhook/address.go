package webhook

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"code.dny.dev/ssrf"
)

// Addresses says to which addresses webhooks may go.
type Addresses string

// The values.
const (
	// Public allows HTTPS to addresses of the internet, and nothing that is
	// reached from inside only: by IANA's registries of special-purpose
	// addresses, whose list is package ssrf's.
	Public Addresses = "public"
	// Any allows HTTP, and every address: for a stack on one's own machine.
	Any Addresses = "any"
)

// maxURL is how many bytes a URL may have.
const maxURL = 2048

// public are the addresses of the internet. Any port: what is sent is TLS.
var public = ssrf.New(ssrf.WithAnyPort())

// Check says what is wrong with a URL as far as that shows in it; nil if nothing
// does. What its name stands for is looked at whenever it is connected to.
func (a Addresses) Check(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Opaque != "" || u.Hostname() == "" || strings.ContainsAny(text, " \t\r\n"):
		return errors.New("must be an absolute URL of at most 2048 bytes")
	case u.Scheme != "https" && (a != Any || u.Scheme != "http"):
		return errors.New("must be an https URL")
	case u.User != nil:
		return errors.New("must have no user name and no password")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return errors.New("must have no fragment")
	case a == Any:
		return nil
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return errNotPublic
	}
	if ip, err := netip.ParseAddr(host); err == nil && (ip.Zone() != "" || public.SafeAddr(ip.Unmap()) != nil) {
		return errNotPublic
	}
	return nil
}

var errNotPublic = errors.New("must be at a public address")
