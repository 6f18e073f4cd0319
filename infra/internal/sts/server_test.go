package sts_test

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"csvexport/infra/internal/sts"
)

// answer is what an SDK reads.
type answer struct {
	Access  string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
	Secret  string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
	Token   string `xml:"AssumeRoleResult>Credentials>SessionToken"`
	Expires string `xml:"AssumeRoleResult>Credentials>Expiration"`
	Code    string `xml:"Error>Code"`
}

func ask(t *testing.T, form url.Values) (int, answer) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	sts.Handler("000000000000", sts.Each).ServeHTTP(w, r)
	var a answer
	if err := xml.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%v\n%s", err, w.Body)
	}
	return w.Code, a
}

func assume(role, name, id string) url.Values {
	return url.Values{"Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {name}, "ExternalId": {id}}
}

func TestHandler(t *testing.T) {
	const ours, wary = "arn:aws:iam::000000000000:role/delivery", "arn:aws:iam::000000000000:role/external-id/acme/delivery"
	for _, test := range []struct {
		name string
		form url.Values
		code string // empty: a session
	}{
		{"a role of ours", assume(ours, "one", ""), ""},
		{"an id that isn't asked for", assume(ours, "one", "acme"), ""},
		{"the id", assume(wary, "one", "acme"), ""},
		{"another id", assume(wary, "one", "other"), "AccessDenied"},
		{"no id", assume(wary, "one", ""), "AccessDenied"},
		{"another account's role", assume("arn:aws:iam::111122223333:role/delivery", "one", ""), "AccessDenied"},
		{"no name", assume(ours, "", ""), "ValidationError"},
		{"another action", url.Values{"Action": {"GetCallerIdentity"}}, "InvalidAction"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, a := ask(t, test.form)
			if a.Code != test.code || (status == http.StatusOK) != (test.code == "") {
				t.Fatalf("%d %+v, want %q", status, a, test.code)
			}
			if test.code != "" {
				return
			}
			s, ok := sts.SessionOf(a.Access)
			if !ok || s.SecretKey != a.Secret || s.Token != a.Token {
				t.Errorf("session %+v isn't that of its access key", a)
			}
			if at, err := time.Parse(time.RFC3339, a.Expires); err != nil || time.Until(at) > time.Hour || time.Until(at) < 59*time.Minute {
				t.Errorf("expires %s (%v)", a.Expires, err)
			}
		})
	}
	_, one := ask(t, assume(ours, "one", ""))
	if _, two := ask(t, assume(ours, "two", "")); one.Access == two.Access || one.Secret == two.Secret || one.Token == two.Token {
		t.Error("two sessions have a key or token in common")
	}
	if _, ok := sts.SessionOf("test"); ok {
		t.Error("the account's own key is taken for a session's")
	}
}

// The example of the IAM User Guide, "Derive a signing key".
func TestSession_SigningKey(t *testing.T) {
	s := sts.Session{SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	key := s.SigningKey("20150830", "us-east-1", "iam")
	want := []byte{0xc4, 0xaf, 0xb1, 0xcc, 0x57, 0x71, 0xd8, 0x71, 0x76, 0x3a, 0x39, 0x3e, 0x44, 0xb7, 0x03, 0x57, 0x1b, 0x55, 0xcc, 0x28, 0x42, 0x4d, 0x1a, 0x5e, 0x86, 0xda, 0x6e, 0xd3, 0xc1, 0x54, 0xa4, 0xb9}
	if !bytes.Equal(key, want) {
		t.Errorf("key %x, want %x", key, want)
	}
}

// An S3 that knows one secret for all gets sessions with that.
func TestShared(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(assume("arn:aws:iam::000000000000:role/delivery", "one", "").Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	sts.Handler("000000000000", sts.Shared("test")).ServeHTTP(w, r)
	var a answer
	if err := xml.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Secret != "test" || a.Access == "" || a.Token == "" {
		t.Errorf("session %+v (%v)", a, err)
	}
}

func TestStart(t *testing.T) {
	s, err := sts.Start("000000000000", sts.Each)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.PostForm(s.URL, assume("arn:aws:iam::000000000000:role/delivery", "one", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("answer %s", resp.Status)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
