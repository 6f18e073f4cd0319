package database_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"csvexport/internal/config"
	"csvexport/internal/database"
)

// lambda has credentials as a function's role gives them, and counts who asks.
type lambda struct{ asked int }

func (l *lambda) Retrieve(context.Context) (aws.Credentials, error) {
	l.asked++
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret", SessionToken: "session"}, nil
}

// Who signs in by IAM needs the role's credentials and nothing else: no secret
// is read, and nobody is connected to, before there is something to export.
func TestOpen_iam(t *testing.T) {
	role := &lambda{}
	src, err := database.Open(t.Context(), aws.Config{Region: "eu-west-1", Credentials: role}, config.Config{
		DatabaseURL: "postgres://csv_export@db.invalid/shop", DatabaseTLS: config.VerifyFull,
		DatabaseIAMUser: "arn:aws:rds-db:eu-west-1:111122223333:dbuser:db-ABC/csv_export",
	})
	if err != nil {
		t.Fatal(err)
	}
	if role.asked > 0 {
		t.Error("a token was made before it was needed")
	}
	if err := src.Ready(t.Context()); err != nil || role.asked == 0 {
		t.Errorf("error %v; the role was asked %d times", err, role.asked)
	}
}

func TestOpen_certificates(t *testing.T) {
	_, err := database.Open(t.Context(), aws.Config{}, config.Config{DatabaseURL: "postgres://u@db.invalid/shop", DatabaseCA: "/nowhere/rds.pem"})
	if err == nil || !strings.Contains(err.Error(), "DATABASE_CA") {
		t.Errorf("error %v, want one that names DATABASE_CA", err)
	}
}
