package bucket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"csvexport/internal/export"
)

const (
	// sessionTime is how long a role is assumed for: the most that any role
	// allows which is assumed by another role's session (IAM User Guide, "Methods
	// to assume a role"). A presigned URL ends with it.
	sessionTime = time.Hour
	// sessionSpare is how long before its end a session is replaced, so that a
	// URL that is signed at any time is good for as long.
	sessionSpare = 15 * time.Minute
	// maxKept is how many exports' buckets are kept with their sessions.
	maxKept = 64
)

// Buckets are the service's own bucket and those of destinations. It is safe
// for concurrent use.
type Buckets struct {
	own       *Bucket
	cfg       aws.Config
	publicURL string

	mu   sync.Mutex
	kept map[string]*Bucket // by the export's id
	ids  []string           // of kept, the oldest first
}

// NewBuckets returns the service's own bucket, by that name, and the way to
// all others. publicURL is as for New.
func NewBuckets(cfg aws.Config, name, publicURL string) *Buckets {
	return &Buckets{own: New(cfg, name, publicURL), cfg: cfg, publicURL: publicURL, kept: map[string]*Bucket{}}
}

// For returns the bucket of e's files: the service's own, or that of e's
// destination. It makes no request: a role is assumed, in a session that bears
// e's id, when the bucket is first used.
func (b *Buckets) For(e export.Export) *Bucket {
	d := e.Spec.Destination
	if d == nil {
		return b.own
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if kept, ok := b.kept[e.ID]; ok {
		return kept
	}
	if len(b.ids) == maxKept {
		delete(b.kept, b.ids[0])
		b.ids = slices.Delete(b.ids, 0, 1)
	}
	there := b.open(e.ID, *d)
	b.kept[e.ID], b.ids = there, append(b.ids, e.ID)
	return there
}

func (b *Buckets) open(id string, d export.Destination) *Bucket {
	cfg := b.cfg.Copy()
	if d.Region != "" {
		cfg.Region = d.Region
	}
	if d.Role != "" {
		cfg.Credentials = aws.NewCredentialsCache(&role{stscreds.NewAssumeRoleProvider(sts.NewFromConfig(b.cfg), d.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "csvexport-" + id
			o.Duration = sessionTime
			if d.ExternalID != "" {
				o.ExternalID = &d.ExternalID
			}
		})}, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = sessionSpare })
	}
	there := New(cfg, d.Bucket, b.publicURL)
	there.destination = d.Name
	if d.Role != "" {
		there.session = cfg.Credentials
	}
	return there
}

// role provides the credentials of an assumed role. Its errors are told from
// those of S3 by their type.
type role struct{ aws.CredentialsProvider }

// roleError is that a role can't be assumed.
type roleError struct{ error }

func (e *roleError) Unwrap() error { return e.error }

// Retrieve implements aws.CredentialsProvider.
func (r *role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := r.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &roleError{err}
	}
	return c, nil
}

// SignedUntil is when URLs end at the latest that are presigned now; the zero
// time where the function's own credentials sign, whose end isn't known.
func (b *Bucket) SignedUntil(ctx context.Context) (time.Time, error) {
	if b.session == nil {
		return time.Time{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c, err := b.session.Retrieve(ctx)
	if err != nil || !c.CanExpire {
		return time.Time{}, b.translate(ctx, "presign", err)
	}
	return c.Expires.Add(sessionSpare), nil // the cache tells when it replaces them
}

// Ready asks whether a destination's bucket is there and may be listed, without
// which a HEAD can't tell a missing file from a forbidden one. Of the service's
// own bucket it asks nothing.
func (b *Bucket) Ready(ctx context.Context) error {
	if b.destination == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return b.Ping(ctx)
}

// refused is the error, with the code StorageRejected, of a destination that
// says no to err's request; nil when that isn't known. The codes of HEAD, which
// has no body to name one, are made of the status.
func (b *Bucket) refused(err error) *export.Error {
	apiErr, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		return nil
	}
	code, says := apiErr.ErrorCode(), ""
	if _, ofRole := errors.AsType[*roleError](err); ofRole {
		switch code { // AWS STS API Reference, AssumeRole, and "Common errors"
		case "AccessDenied", "ValidationError", "RegionDisabledException":
			says = "The service may not use the role of the destination %s."
		}
	} else {
		switch code { // Amazon S3 API Reference, "Error responses"
		case "NoSuchBucket", "NotFound", "InvalidBucketName":
			says = "The bucket of the destination %s doesn't exist."
		case "AccessDenied", "AllAccessDisabled", "Forbidden", "AccountProblem":
			says = "The destination %s forbids what the service has to do there."
		case "EntityTooLarge":
			says = "The file is larger than the destination %s allows."
		case "PermanentRedirect", "MovedPermanently", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
			says = "The bucket of the destination %s is in another region than the service was told."
		case "KMS.DisabledException", "KMS.NotFoundException", "KMS.KMSInvalidStateException":
			says = "The bucket of the destination %s can't use its key."
		}
	}
	if says == "" {
		return nil
	}
	return &export.Error{Code: export.StorageRejected, Message: fmt.Sprintf(says, b.destination), Err: err}
}
