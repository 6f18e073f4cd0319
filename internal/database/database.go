// Package database opens the source of rows as a function's settings say: where
// it is, how the connection is protected, and where its secret is kept.
package database

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"csvexport/internal/config"
	"csvexport/internal/s3file"
	"csvexport/internal/secret"
	"csvexport/internal/source"
)

// Open returns the source. It reads the file of certificates, if there is one,
// but no secret yet, and doesn't connect.
func Open(ctx context.Context, aws aws.Config, cfg config.Config) (*source.Source, error) {
	protection := source.TLS{ByURL: cfg.DatabaseTLS == config.ByURL}
	if cfg.DatabaseCA != "" {
		pem, err := s3file.Read(ctx, cfg.DatabaseCA)
		if err != nil {
			return nil, fmt.Errorf("DATABASE_CA: %w", err)
		}
		protection.Roots = x509.NewCertPool()
		if !protection.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("DATABASE_CA: %s holds no certificate in PEM form", cfg.DatabaseCA)
		}
	}
	if cfg.DatabaseIAMUser != "" {
		user, err := config.ParseIAMUser(cfg.DatabaseIAMUser)
		if err != nil {
			return nil, err
		}
		token, err := secret.NewToken(aws, cfg.DatabaseURL, user.Region)
		if err != nil {
			return nil, err
		}
		return source.NewAt(token.URL, protection), nil
	}
	return source.NewAt(secret.NewDatabase(aws, cfg.DatabaseURL, cfg.DatabaseSecretARN).URL, protection), nil
}
