package config_test

import (
	"maps"
	"strings"
	"testing"

	"csvexport/internal/config"
)

// Who signs in by IAM learns what doesn't go together, by the names they set,
// and no password is told.
func TestLoad_databaseIAM(t *testing.T) {
	good := map[string]string{
		"DATABASE_URL":      "postgres://csv_export@prod.abc.eu-west-1.rds.amazonaws.com:5432/shop",
		"DATABASE_IAM_USER": "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABC/csv_export",
	}
	for name, test := range map[string]struct {
		change map[string]string
		want   string // part of the error; empty for none
	}{
		"as it should be":  {nil, ""},
		"no ARN":           {map[string]string{"DATABASE_IAM_USER": "csv_export"}, "DATABASE_IAM_USER must be arn:"},
		"an instance":      {map[string]string{"DATABASE_IAM_USER": "arn:aws:rds:eu-west-1:111122223333:db:prod"}, "DATABASE_IAM_USER must be arn:"},
		"every user":       {map[string]string{"DATABASE_IAM_USER": "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABC/*"}, "DATABASE_IAM_USER must be arn:"},
		"another user":     {map[string]string{"DATABASE_URL": "postgres://master@prod.example/shop"}, "postgres://csv_export@HOST:PORT/DATABASE, of the same user"},
		"no URL":           {map[string]string{"DATABASE_URL": ""}, "DATABASE_IAM_USER needs DATABASE_URL"},
		"a URL with words": {map[string]string{"DATABASE_URL": "host=prod user=csv_export"}, "DATABASE_IAM_USER needs DATABASE_URL"},
		"a password":       {map[string]string{"DATABASE_URL": "postgres://csv_export:hunter2@prod.example/shop"}, "DATABASE_URL has a password"},
		"a secret as well": {map[string]string{"DATABASE_SECRET_ARN": "arn:aws:secretsmanager:x"}, "are set both"},
		"without TLS":      {map[string]string{"DATABASE_TLS": "url"}, "needs DATABASE_TLS=verify-full"},
	} {
		t.Run(name, func(t *testing.T) {
			env := maps.Clone(good)
			maps.Copy(env, test.change)
			_, err := config.Load(getenv(env), config.Database)
			if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
