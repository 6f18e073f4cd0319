package webhook

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// The signature is the one that the standard's own Go library publishes in its
// test (libraries/go/webhook_test.go, TestWebhookSign); its Python and
// JavaScript libraries have the same.
func TestSecrets_signature(t *testing.T) {
	const (
		secret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		id        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		timestamp = 1614265330
		payload   = `{"test": 2432232314}`
		want      = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	)
	s, err := ParseSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.signature(id, time.Unix(timestamp, 999), []byte(payload)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	for name, got := range map[string]string{
		"another id":      s.signature("msg_other", time.Unix(timestamp, 0), []byte(payload)),
		"another time":    s.signature(id, time.Unix(timestamp+1, 0), []byte(payload)),
		"another payload": s.signature(id, time.Unix(timestamp, 0), []byte(payload+" ")),
	} {
		if got == want {
			t.Errorf("%s has the same signature", name)
		}
	}
	// While a receiver changes over, there is a signature by each.
	both, err := ParseSecrets(secret + " " + NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(both.signature(id, time.Unix(timestamp, 0), []byte(payload))); len(got) != 2 || got[0] != want || got[1] == want {
		t.Errorf("signatures %q", got)
	}
}

func TestNewSecret(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	encoded, ok := strings.CutPrefix(a, "whsec_")
	if key, err := base64.StdEncoding.DecodeString(encoded); !ok || err != nil || len(key) != 32 || a == b {
		t.Errorf("secrets %s and %s", a, b)
	}
}

func TestParseSecrets_refuses(t *testing.T) {
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for name, text := range map[string]string{
		"nothing": "", "blanks": "  ", "no prefix": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "no base64": "whsec_?", "short": of(23), "long": of(65),
		"one of two": of(32) + " x",
	} {
		if _, err := ParseSecrets(text); err == nil {
			t.Errorf("%s isn't refused", name)
		} else if text != "" && strings.Contains(err.Error(), strings.TrimPrefix(text, "whsec_")) {
			t.Errorf("%s: the error quotes the secret: %v", name, err)
		}
	}
	for _, n := range []int{24, 64} {
		if _, err := ParseSecrets(of(n)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
