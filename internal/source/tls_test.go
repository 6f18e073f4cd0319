package source

import (
	"crypto/x509"
	"strings"
	"testing"
)

// Outside of loopback a connection proves who the server is, whatever the URL
// leaves out; a URL that asks for less is refused.
func TestTLS_config(t *testing.T) {
	roots := x509.NewCertPool()
	for name, test := range map[string]struct {
		url     string
		tls     TLS
		server  string // whose name must be proven; empty: none
		refused bool
	}{
		"nothing said":                   {"postgres://u:geheim@db.example:5432/app", TLS{}, "db.example", false},
		"nothing said, keywords":         {"host=db.example user=u password=geheim dbname=app", TLS{}, "db.example", false},
		"other settings":                 {"postgres://u:geheim@db.example/app?connect_timeout=3", TLS{}, "db.example", false},
		"verify-full":                    {"postgres://u:geheim@db.example/app?sslmode=verify-full", TLS{}, "db.example", false},
		"roots":                          {"postgres://u:geheim@db.example/app", TLS{Roots: roots}, "db.example", false},
		"disable":                        {"postgres://u:geheim@db.example/app?sslmode=disable", TLS{}, "", true},
		"prefer":                         {"postgres://u:geheim@db.example/app?sslmode=prefer", TLS{}, "", true},
		"require":                        {"postgres://u:geheim@db.example/app?sslmode=require", TLS{}, "", true},
		"verify-ca":                      {"host=db.example user=u password=geheim sslmode=verify-ca", TLS{}, "", true},
		"second host":                    {"postgres://u:geheim@127.0.0.1,db.example/app?sslmode=prefer", TLS{}, "", true},
		"disable, by the URL":            {"postgres://u:geheim@db.example/app?sslmode=disable", TLS{ByURL: true}, "", false},
		"nothing said, by the URL":       {"postgres://u:geheim@db.example/app", TLS{ByURL: true}, "db.example", false},
		"loopback":                       {"postgres://u:geheim@127.0.0.1/app?sslmode=disable", TLS{}, "", false},
		"loopback, version 6":            {"postgres://u:geheim@[::1]/app?sslmode=disable", TLS{}, "", false},
		"loopback by name":               {"postgres://u:geheim@localhost/app?sslmode=disable", TLS{}, "", false},
		"socket":                         {"host=/run/postgresql user=u password=geheim dbname=app", TLS{}, "", false},
		"looks like loopback, but no":    {"postgres://u:geheim@localhost.example/app?sslmode=disable", TLS{}, "", true},
		"mentions sslmode in its name":   {"postgres://u:geheim@db.example/sslmode", TLS{}, "db.example", false},
		"an address that isn't loopback": {"postgres://u:geheim@10.0.0.1/app", TLS{}, "10.0.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := test.tls.config(test.url)
			if test.refused {
				if err == nil || !strings.Contains(err.Error(), "verify-full") || strings.Contains(err.Error(), "geheim") {
					t.Errorf("error %v, want one that says what to change and not the password", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.server == "" {
				return
			}
			if config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify || config.TLSConfig.ServerName != test.server {
				t.Errorf("TLS %+v, want %s proven", config.TLSConfig, test.server)
			}
			for _, f := range config.Fallbacks {
				if f.TLSConfig == nil || f.TLSConfig.InsecureSkipVerify {
					t.Errorf("falls back to %+v", f)
				}
			}
			if test.tls.Roots != nil && config.TLSConfig.RootCAs != test.tls.Roots {
				t.Error("the roots aren't those that were given")
			}
		})
	}
}

// What can't be read is told without a word of it.
func TestTLS_config_unreadable(t *testing.T) {
	for _, url := range []string{
		"host=h password = geheim port=x", "host=db.example pass word=geheim x", "postgres://u:geheim@db.example:port/app",
		"postgres://u:ge%zzheim@db.example/app", "postgres://u:geheim@db.example/app?sslmode=geheim",
	} {
		if _, err := (TLS{}).config(url); err == nil || strings.Contains(err.Error(), "heim") {
			t.Errorf("%s: error %v", url, err)
		}
	}
}
