package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"csvexport/internal/export"
)

const (
	// fresh is how long keys are used before the issuer is asked again: so
	// long may a key live on that the issuer has dropped.
	fresh = 5 * time.Minute
	// usable is how long keys are used while the issuer can't be asked.
	usable = time.Hour
	// pause is the least time between two questions while there are keys: so
	// a new key may wait, and so much do forged tokens trouble the issuer.
	pause = 10 * time.Second
	// failurePause is the same after a failure, also without keys.
	failurePause = time.Second

	fetchTimeout = 4 * time.Second
	maxKeySet    = 1 << 20 // bytes
)

// keySet is the issuer's keys, found by discovery. It may be used by several
// goroutines.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time
	flight singleflight.Group

	mu        sync.Mutex
	keys      []jose.JSONWebKey // empty: never had
	fetchedAt time.Time
	askedAt   time.Time
	failure   error // of the last question
}

// verify returns the payload of a token that one of the issuer's keys signed.
// Its error is Unauthenticated, or Unavailable if the issuer would have to be
// asked and can't be.
func (s *keySet) verify(ctx context.Context, token *jose.JSONWebSignature) ([]byte, error) {
	s.mu.Lock()
	keys, age := s.keys, s.now().Sub(s.fetchedAt)
	s.mu.Unlock()
	if len(keys) > 0 && age < fresh {
		if payload, ok := verifyWith(keys, token); ok {
			return payload, nil
		}
	}
	// The keys are old, or the token's is a new one.
	keys, failure := s.ask(ctx)
	if payload, ok := verifyWith(keys, token); ok {
		return payload, nil
	}
	if failure != nil {
		return nil, &export.Error{Code: export.Unavailable, Message: "The issuer of tokens can't be asked. Please try again.", Err: failure}
	}
	return nil, refuse("no key of the issuer verifies the signature")
}

func verifyWith(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, bool) {
	kid := token.Signatures[0].Header.KeyID
	for _, key := range keys {
		if kid == "" || key.KeyID == kid {
			if payload, err := token.Verify(key); err == nil {
				return payload, true
			}
		}
	}
	return nil, false
}

// ask returns the keys after asking the issuer, unless it was asked just
// before. While it fails, the keys are the last known ones, if they aren't too
// old; without any, a call asks that comes a second after the last answer: an
// issuer that doesn't answer must not hold every request up. Calls at the same
// time ask once.
func (s *keySet) ask(ctx context.Context) ([]jose.JSONWebKey, error) {
	asked := s.flight.DoChan("", func() (any, error) {
		s.mu.Lock()
		since := s.now().Sub(s.askedAt)
		recently := len(s.keys) > 0 && since < pause || s.failure != nil && since < failurePause
		s.mu.Unlock()
		if recently {
			return nil, nil // the result is in the set
		}
		keys, err := s.fetch(context.WithoutCancel(ctx))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.askedAt, s.failure = s.now(), err
		if err == nil {
			s.keys, s.fetchedAt = keys, s.askedAt
		} else if s.now().Sub(s.fetchedAt) >= usable {
			s.keys = nil
		}
		return nil, nil // the result is in the set
	})
	select {
	case <-asked:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, s.failure
}

// fetch asks the issuer where its keys are, and for them.
func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.issuer)
	if err != nil {
		return nil, fmt.Errorf("discover issuer: %w", err)
	}
	var document struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("read issuer's discovery document: %w", err)
	}
	if !strings.HasPrefix(document.JWKS, "https://") && !strings.HasPrefix(s.issuer, "http://") {
		return nil, errors.New("issuer's jwks_uri must be an https URL")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, document.JWKS, nil)
	if err != nil {
		return nil, fmt.Errorf("issuer's keys: %w", err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("get issuer's keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get issuer's keys: status %s", resp.Status)
	}
	return readKeys(io.LimitReader(resp.Body, maxKeySet))
}

// readKeys reads a JSON Web Key Set and leaves out what isn't a public key
// for signatures, or of a kind not understood (RFC 7517, section 5).
func readKeys(r io.Reader) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(r).Decode(&set); err != nil {
		return nil, fmt.Errorf("read issuer's keys: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) == nil && key.Valid() && key.IsPublic() && key.Use != "enc" {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the issuer's key set has no public key for signatures")
	}
	return keys, nil
}
