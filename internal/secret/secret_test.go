package secret

import (
	"strings"
	"testing"
)

func TestDatabaseURL(t *testing.T) {
	for _, test := range []struct{ name, secret, want string }{
		{
			"as RDS writes it",
			`{"engine":"postgres","host":"db.example","port":5433,"username":"u","password":"p@ss/w:rd?#","dbname":"app"}`,
			"postgres://u:p%40ss%2Fw%3Ard%3F%23@db.example:5433/app",
		},
		{"without port and database", `{"host":"db","username":"u","password":"p"}`, "postgres://u:p@db:5432/postgres"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := databaseURL(test.secret); err != nil || got != test.want {
				t.Errorf("databaseURL = %q, %v; want %q", got, err, test.want)
			}
		})
	}
	for _, secret := range []string{"", "hunter2", `{"password":"hunter2"}`} {
		if _, err := databaseURL(secret); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("databaseURL(%q): error %v, want one that doesn't tell the secret", secret, err)
		}
	}
}
