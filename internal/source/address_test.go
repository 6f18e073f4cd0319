package source_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

// certificate returns a certificate for an address or name, signed by itself,
// and the file of it.
func certificate(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// encrypted stands before the server at url and speaks TLS, as Postgres does
// when it is asked to (manual, "SSL Session Encryption"): the bundled server
// can't. It returns the URL by way of it.
func encrypted(t *testing.T, url string, cert tls.Certificate) string {
	t.Helper()
	url = relayed(t, url, func(client, server net.Conn) {
		request := make([]byte, 8) // SSLRequest
		if _, err := io.ReadFull(client, request); err != nil {
			return
		}
		if _, err := client.Write([]byte("S")); err != nil {
			return
		}
		secure := tls.Server(client, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		var running sync.WaitGroup
		running.Go(func() {
			_, _ = io.Copy(server, secure)
			server.Close()
		})
		_, _ = io.Copy(secure, server)
		client.Close()
		running.Wait()
	})
	return strings.Replace(url, "sslmode=disable", "sslmode=verify-full", 1)
}

func TestSource_verifyFull(t *testing.T) {
	url := servertest.Database(t)
	cert, file := certificate(t, "127.0.0.1")
	other, otherFile := certificate(t, "db.example")
	for name, test := range map[string]struct {
		url, roots, says string
	}{
		"right":         {encrypted(t, url, cert), file, ""},
		"wrong name":    {encrypted(t, url, other), otherFile, "certificate"},
		"unknown roots": {encrypted(t, url, cert), otherFile, "unknown authority"},
		"no TLS":        {strings.Replace(url, "sslmode=disable", "sslmode=verify-full", 1), file, "refused TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(test.roots)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(text)
			s := source.NewAt(func(context.Context, bool) (string, error) { return test.url, nil }, source.TLS{Roots: roots})
			err = s.Ping(t.Context())
			if test.says == "" && err != nil {
				t.Fatal(err)
			}
			if test.says != "" && (export.CodeOf(err) != export.SourceUnreachable || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

// A password that is changed while a source is in use is asked for anew, once.
func TestSource_passwordChanges(t *testing.T) {
	url := servertest.Database(t)
	role := "rotated-" + uuid.NewString()
	servertest.PSQL(t, url, `CREATE ROLE "`+role+`" LOGIN PASSWORD 'first'`)
	t.Cleanup(func() { servertest.PSQL(t, servertest.Server(t), `DROP ROLE "`+role+`"`) })
	with := func(password string) string {
		u, err := neturl.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		u.User = neturl.UserPassword(role, password)
		return u.String()
	}
	password, kept, asked := "first", "first", 0
	s := source.NewAt(func(_ context.Context, fresh bool) (string, error) {
		if fresh {
			asked++
			kept = password
		}
		return with(kept), nil
	}, source.TLS{})
	if err := s.Ping(t.Context()); err != nil || asked != 0 {
		t.Fatalf("error %v, asked anew %d times", err, asked)
	}
	password = "second"
	servertest.PSQL(t, url, `ALTER ROLE "`+role+`" PASSWORD 'second'`)
	if err := s.Ping(t.Context()); err != nil || asked != 1 {
		t.Errorf("after the change: error %v, asked anew %d times, want once", err, asked)
	}
	servertest.PSQL(t, url, `ALTER ROLE "`+role+`" PASSWORD 'third'`)
	err := s.Ping(t.Context())
	if export.CodeOf(err) != export.SourceUnreachable || asked != 2 {
		t.Errorf("with a wrong password: error %v, asked anew %d times", err, asked-1)
	}
	if strings.Contains(err.Error(), "second") || strings.Contains(export.MessageOf(err), role) {
		t.Errorf("the error tells too much: %v", err)
	}
}
