package objectstore

import (
	"crypto/subtle"

	"github.com/versity/versitygw/auth"

	"csvexport/infra/internal/sts"
)

// accounts are the one account of the gateway and the sessions of roles, which
// may do all that it may.
type accounts struct{ auth.IAMService }

func newAccounts(c Credentials) accounts {
	return accounts{auth.NewIAMServiceSingle(auth.Account{Access: c.AccessKey, Secret: c.SecretKey, Role: auth.RoleAdmin})}
}

// DeriveSigningKey implements auth.SigningKeyProvider.
func (accounts) DeriveSigningKey(access, token, date, region, service string) ([]byte, auth.Account, error) {
	s, ok := sts.SessionOf(access)
	switch {
	case !ok:
		return nil, auth.Account{}, auth.ErrNoSuchUser
	case subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) == 0:
		return nil, auth.Account{}, auth.ErrInvalidSessionToken
	}
	return s.SigningKey(date, region, service), auth.Account{Access: access, Role: auth.RoleAdmin, SessionToken: token, IsSession: true}, nil
}
