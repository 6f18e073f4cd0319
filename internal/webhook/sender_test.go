package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"code.dny.dev/ssrf"
)

func someSecrets(t *testing.T) Secrets {
	t.Helper()
	s, err := ParseSecrets(NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// receiver is a server that counts its requests.
func receiver(t *testing.T, answer http.HandlerFunc) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestSender_answers(t *testing.T) {
	elsewhere, followed := receiver(t, func(http.ResponseWriter, *http.Request) {})
	for name, test := range map[string]struct {
		status     int
		header     [2]string
		ok, gone   bool
		retryAfter time.Duration
	}{
		"200":                     {status: 200, ok: true},
		"204":                     {status: 204, ok: true},
		"202":                     {status: 202, ok: true},
		"301":                     {status: 301, header: [2]string{"Location", elsewhere}},
		"302":                     {status: 302, header: [2]string{"Location", elsewhere}},
		"307":                     {status: 307, header: [2]string{"Location", elsewhere}},
		"308":                     {status: 308, header: [2]string{"Location", elsewhere}},
		"400":                     {status: 400},
		"404":                     {status: 404},
		"410":                     {status: 410, gone: true},
		"429 with seconds":        {status: 429, header: [2]string{"Retry-After", "120"}, retryAfter: 2 * time.Minute},
		"503 with a date":         {status: 503, header: [2]string{"Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, retryAfter: time.Hour},
		"503 with a date gone by": {status: 503, header: [2]string{"Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"}},
		"503 with nonsense":       {status: 503, header: [2]string{"Retry-After", "-5"}},
		"503 for ever":            {status: 503, header: [2]string{"Retry-After", "99999999999"}, retryAfter: 24 * time.Hour},
		"500":                     {status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.header[0] != "" {
					w.Header().Set(test.header[0], test.header[1])
				}
				w.WriteHeader(test.status)
			})
			err := NewSender(Any).Send(t.Context(), url, someSecrets(t), Message{ID: "id", Body: []byte("{}")})
			var f *Failure
			if (err == nil) != test.ok || err != nil && !errors.As(err, &f) {
				t.Fatalf("error %v", err)
			}
			if f != nil && (f.Gone != test.gone || (f.RetryAfter-test.retryAfter).Abs() > 2*time.Second || !strings.Contains(f.Reason, strconv.Itoa(test.status))) {
				t.Errorf("failure %+v", f)
			}
			if asked.Load() != 1 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
	if followed.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// A body without an end is not read to its end, and no failure when the status
// is right.
func TestSender_endlessAnswer(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusTeapot} {
		url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		})
		began := time.Now()
		err := NewSender(Any).Send(t.Context(), url, someSecrets(t), Message{ID: "id", Body: []byte("{}")})
		if (err == nil) != (status == http.StatusOK) || time.Since(began) > 5*time.Second {
			t.Errorf("%d: error %v after %v", status, err, time.Since(began))
		}
	}
}

// A receiver that says nothing is given up after 15 seconds.
func TestSender_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		began := time.Now()
		err := NewSenderOver(Public, silent).Send(t.Context(), "https://hooks.example.com", someSecrets(t), Message{ID: "id"})
		if took := time.Since(began); took != 15*time.Second || err == nil || !strings.Contains(err.Error(), "within 15 seconds") {
			t.Errorf("error %v after %v", err, took)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An error tells neither the URL nor anything of our network.
func TestSender_tellsNoSecret(t *testing.T) {
	err := NewSender(Any).Send(t.Context(), "http://127.0.0.1:1/hook?token=hunter2", someSecrets(t), Message{ID: "id"})
	var f *Failure
	if !errors.As(err, &f) || strings.Contains(err.Error(), "hunter2") || f.Reason != "The receiver can't be reached." {
		t.Errorf("error %v", err)
	}
}

// A name is worth nothing: what it stands for is looked at when it is
// connected to.
func TestSender_names(t *testing.T) {
	open, asked := receiver(t, func(http.ResponseWriter, *http.Request) {})
	port := open[strings.LastIndex(open, ":"):]
	for _, address := range []string{
		"127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
		"::1", "fd00::1", "fd00:ec2::254", "fe80::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
	} {
		t.Run(address, func(t *testing.T) {
			send := func(a Addresses, scheme string) error {
				dialer := &net.Dialer{Resolver: resolver(t, netip.MustParseAddr(address)), Timeout: 2 * time.Second}
				return NewSenderOver(a, transport(a, dialer)).Send(t.Context(), scheme+"://hooks.example.com"+port, someSecrets(t), Message{ID: "id"})
			}
			err := send(Public, "https")
			var f *Failure
			if !errors.Is(err, ssrf.ErrProhibitedIP) || !errors.As(err, &f) || f.Reason != "The receiver has no public address." {
				t.Errorf("error %v", err)
			}
			if address == "127.0.0.1" { // the test would see it
				if err := send(Any, "http"); err != nil || asked.Load() != 1 {
					t.Errorf("any: %v, asked %d times", err, asked.Load())
				}
			}
		})
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// resolver finds the one address for every name, by a DNS server of its own (RFC
// 1035, section 4.1).
func resolver(t *testing.T, ip netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for query := make([]byte, 512); ; {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(dnsAnswer(query[:n], ip), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func dnsAnswer(query []byte, ip netip.Addr) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root, type and class
	kind, address := byte(1), ip.AsSlice()
	if ip.Is6() {
		kind = 28
	}
	answer := append([]byte{}, query[:end]...)
	answer[2], answer[3] = 0x81, 0x80 // a response, recursion available, no error
	copy(answer[6:12], make([]byte, 6))
	if query[end-3] == kind {
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, byte(len(address)))
		answer = append(answer, address...)
	}
	return answer
}
