// Package bucket keeps the finished files in S3.
//
// An object appears under its key all at once or not at all: it is written by
// one conditional PutObject, or by a multipart upload whose completion is
// conditional, and both refuse to replace an object that is already there.
package bucket

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"csvexport/internal/export"
)

const (
	// requestTimeout bounds a request without a large body, retries included.
	requestTimeout = 30 * time.Second
	// bodyTimeout bounds a request that carries a part, retries included.
	bodyTimeout = 2 * time.Minute

	tokenMetadata = "export-token" // x-amz-meta-export-token
)

// Bucket is an S3 bucket.
type Bucket struct {
	client  *s3.Client
	presign *s3.PresignClient
	name    string

	destination string                  // the catalog's name; empty for the service's own
	session     aws.CredentialsProvider // of an assumed role; nil for none
}

// New returns the named bucket. publicURL is the endpoint that presigned URLs
// lead to, for callers that reach S3 under another name than the service
// does; empty means the same.
func New(cfg aws.Config, name, publicURL string) *Bucket {
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		// An endpoint of one's own has no DNS name for each bucket.
		o.UsePathStyle = o.BaseEndpoint != nil
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	public := client
	if publicURL != "" {
		public = s3.New(client.Options(), func(o *s3.Options) {
			o.BaseEndpoint = &publicURL
			o.UsePathStyle = true
		})
	}
	return &Bucket{client: client, presign: s3.NewPresignClient(public), name: name}
}

// Object says what to call a file and how to recognize it.
type Object struct {
	Key         string
	Token       string // kept in the object's metadata
	ContentType string
}

// Head is what a HEAD of a key tells.
type Head struct {
	Exists       bool
	Size         int64
	Token        string
	ContentType  string
	ETag         string // with its quotes
	LastModified time.Time
}

// Head asks whether there is an object under key. An error means that it is
// not known, also for a 403: S3 answers that for a missing key to callers who
// may not list the bucket.
func (b *Bucket) Head(ctx context.Context, key string) (Head, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		if _, ok := errors.AsType[*types.NotFound](err); ok {
			return Head{}, nil
		}
		return Head{}, b.unavailable(fmt.Errorf("head %s: %w", key, err))
	}
	return Head{
		Exists: true, Size: aws.ToInt64(out.ContentLength), Token: out.Metadata[tokenMetadata],
		ContentType: aws.ToString(out.ContentType), ETag: aws.ToString(out.ETag), LastModified: aws.ToTime(out.LastModified),
	}, nil
}

// Ping asks whether the bucket is there and may be read.
func (b *Bucket) Ping(ctx context.Context) error {
	_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	return b.translate(ctx, "ping", err)
}

// Delete removes the object under key; a missing one is fine.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	return b.translate(ctx, "delete "+key, err)
}

// deleteAtOnce is how many keys one DeleteObjects may name (Amazon S3 API
// Reference, DeleteObjects).
const deleteAtOnce = 1000

// DeleteMany removes the objects under keys; missing ones are fine.
func (b *Bucket) DeleteMany(ctx context.Context, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for some := range slices.Chunk(keys, deleteAtOnce) {
		named := make([]types.ObjectIdentifier, len(some))
		for i := range some {
			named[i].Key = &some[i]
		}
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: named, Quiet: new(true)}})
		if err == nil && len(out.Errors) > 0 {
			first := out.Errors[0]
			err = fmt.Errorf("%d objects not deleted, such as %s: %s %s", len(out.Errors), aws.ToString(first.Key), aws.ToString(first.Code), aws.ToString(first.Message))
		}
		if err != nil {
			return b.translate(ctx, "delete objects", err)
		}
	}
	return nil
}

// maxRead bounds what Read returns, in bytes.
const maxRead = 4 << 20

// Read returns the object under key, of at most 4 MiB. The error of a missing
// one is NotFound.
func (b *Bucket) Read(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if _, missing := errors.AsType[*types.NoSuchKey](err); missing {
		return nil, &export.Error{Code: export.NotFound, Message: "The file isn't there.", Err: err}
	}
	if err != nil {
		return nil, b.translate(ctx, "get "+key, err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxRead+1))
	if err == nil && len(text) > maxRead {
		err = fmt.Errorf("more than %d bytes", maxRead)
	}
	return text, b.translate(ctx, "get "+key, err)
}

// PresignGet returns a URL that downloads the object under key for ttl, as an
// attachment with the given file name.
func (b *Bucket) PresignGet(ctx context.Context, key, fileName string, ttl time.Duration) (string, error) {
	req, err := b.presign.PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket:                     &b.name,
		Key:                        &key,
		ResponseContentDisposition: aws.String(Attachment(fileName)),
	}, s3.WithPresignExpires(ttl))
	if err != nil {
		return "", b.translate(ctx, "presign "+key, err)
	}
	return req.URL, nil
}

// Attachment is the Content-Disposition that saves a download under a name.
// Clients that know no filename*, such as curl, get the name with a _ for what
// filename can't hold (RFC 6266, appendix D).
func Attachment(fileName string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%`, r) {
			return '_'
		}
		return r
	}, fileName)
	value := mime.FormatMediaType("attachment", map[string]string{"filename": plain})
	if plain == fileName {
		return value
	}
	return value + "; filename*=UTF-8''" + extended(fileName)
}

// extended is a parameter's value in UTF-8 (RFC 8187, section 3.2.1).
func extended(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// crc32Header is a CRC-32 as S3's headers carry it: base64, big endian.
func crc32Header(crc uint32) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc)))
}

// translate names an error of S3 in the domain's words. A cancelled context's
// cause wins over what the cancellation led to.
func (b *Bucket) translate(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	if b.destination != "" {
		if refused := b.refused(err); refused != nil {
			return refused
		}
		return b.unavailable(err)
	}
	if apiErr, ok := errors.AsType[smithy.APIError](err); ok {
		// The codes: Amazon S3 API Reference, "Error responses".
		switch apiErr.ErrorCode() {
		case "NoSuchBucket":
			return &export.Error{Code: export.StorageRejected, Message: "The bucket for the files doesn't exist.", Err: err}
		case "AccessDenied", "AllAccessDisabled":
			return &export.Error{Code: export.StorageRejected, Message: "The service may not write to the bucket for the files.", Err: err}
		case "EntityTooLarge":
			return &export.Error{Code: export.StorageRejected, Message: "The file is larger than S3 allows.", Err: err}
		}
	}
	return b.unavailable(err)
}

func (b *Bucket) unavailable(err error) *export.Error {
	message := "The file's storage can't be reached."
	if b.destination != "" {
		message = fmt.Sprintf("The destination %s can't be reached.", b.destination)
	}
	return &export.Error{Code: export.StorageUnavailable, Message: message, Err: err}
}
