package webhook

import (
	"strings"
	"testing"
)

func TestAddresses_Check(t *testing.T) {
	for _, test := range []struct {
		url  string
		says string // of Public; empty: it is taken
		any  bool   // whether Any takes it
	}{
		{"https://hooks.example.com/exports?key=1", "", true},
		{"HTTPS://hooks.example.com:8443/", "", true},
		{"https://93.184.215.14/", "", true},
		{"https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "", true},
		{"http://hooks.example.com/", "https", true},
		{"ftp://hooks.example.com/", "https", false},
		{"https://user@hooks.example.com/", "user name", false},
		{"https://:secret@hooks.example.com/", "user name", false},
		{"https://hooks.example.com/#top", "fragment", false},
		{"https://hooks.example.com/#", "fragment", false},
		{"https://hooks.example.com/" + strings.Repeat("x", 2048), "2048", false},
		{"https://hooks.example.com/a b", "absolute", false},
		{"/exports", "absolute", false},
		{"https:", "absolute", false},
		{"https:hooks.example.com", "absolute", false},
		{"https://:443/", "absolute", false},
		{"", "absolute", false},
		{"https://localhost/", "public", true},
		{"https://LOCALHOST./", "public", true},
		{"https://a.localhost/", "public", true},
		{"https://127.0.0.1/", "public", true},
		{"https://127.8.9.10/", "public", true},
		{"https://0.0.0.0/", "public", true},
		{"https://10.1.2.3/", "public", true},
		{"https://172.16.0.1/", "public", true},
		{"https://172.31.255.255/", "public", true},
		{"https://192.168.1.1/", "public", true},
		{"https://169.254.169.254/latest/meta-data/", "public", true},
		{"https://169.254.170.2/", "public", true}, // credentials of containers
		{"https://100.64.0.1/", "public", true},    // CGNAT
		{"https://100.127.255.255/", "public", true},
		{"https://192.0.2.1/", "public", true},
		{"https://224.0.0.1/", "public", true},
		{"https://255.255.255.255/", "public", true},
		{"https://[::1]/", "public", true},
		{"https://[::]/", "public", true},
		{"https://[fd00::1]/", "public", true},          // unique local
		{"https://[fd00:ec2::254]/", "public", true},    // metadata of EC2
		{"https://[fe80::1]/", "public", true},          // link-local
		{"https://[fe80::1%25eth0]/", "public", true},   // with a zone
		{"https://[::ffff:127.0.0.1]/", "public", true}, // mapped
		{"https://[::ffff:a9fe:a9fe]/", "public", true}, // mapped metadata
		{"https://[64:ff9b::7f00:1]/", "public", true},  // NAT64
		{"https://[2001::1]/", "public", true},          // Teredo
		{"https://[2002:7f00:1::]/", "public", true},    // 6to4 of 127.0.0.1
		{"https://[2001:db8::1]/", "public", true},      // documentation
		{"https://[2606:2800::1%25x]/", "public", true}, // a zone is of a link
	} {
		if err := Public.Check(test.url); (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("public: %.60q: error %v, want one that says %q", test.url, err, test.says)
		}
		if err := Any.Check(test.url); (err == nil) != test.any {
			t.Errorf("any: %.60q: %v", test.url, err)
		}
	}
}
