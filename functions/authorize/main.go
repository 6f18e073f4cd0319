// Command authorize is the function that API Gateway asks before each request.
package main

import (
	"context"

	"csvexport/internal/auth"
	"csvexport/internal/authorizer"
	"csvexport/internal/config"
	"csvexport/internal/function"
)

func main() { function.Start(build, config.Authorizer) }

func build(_ context.Context, cfg config.Config) (any, error) {
	if cfg.AuthMode == config.NoAuth {
		return (&authorizer.Authorizer{}).Handle, nil
	}
	verifier := auth.New(auth.Config{Issuer: cfg.AuthIssuer, Audience: cfg.AuthAudience, Claims: cfg.AuthClaims})
	return (&authorizer.Authorizer{Verifier: verifier, Scope: cfg.AuthScope}).Handle, nil
}
