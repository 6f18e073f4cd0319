package bucket

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"csvexport/internal/export"
)

const (
	// MinPartSize is the size of the first parts. S3's own minimum for all
	// but the last is 5 MiB.
	MinPartSize = 8 << 20
	// maxParts is S3's bound on the parts of an upload.
	maxParts = 10_000
	// smallParts is how many parts have the minimal size. Each hundred behind
	// them is 1 MiB larger than the one before.
	smallParts   = 1000
	partsPerStep = 100
	// uploadsInFlight is how many parts are sent at once.
	uploadsInFlight = 2
)

// partSize is the size of part n, counted from 1: 8 MiB to 98 MiB.
func partSize(n int) int {
	return MinPartSize + max(n-1-smallParts+partsPerStep, 0)/partsPerStep<<20
}

// MaxSize is what the parts of an upload hold together: about 470 GiB.
var MaxSize = func() (sum int64) {
	for n := range maxParts {
		sum += int64(partSize(n + 1))
	}
	return sum
}()

// Upload writes one object, whose size isn't known beforehand, in parts. It
// keeps one part in memory and one for each request in flight. Nothing is
// visible under the key until Publish.
//
// An Upload is written by one goroutine at a time.
type Upload struct {
	bucket  *Bucket
	object  Object
	started func(ctx context.Context, uploadID string) error

	ctx      context.Context //nolint:containedctx // it bounds the uploads in flight, which outlive a Write
	cancel   context.CancelFunc
	inFlight *errgroup.Group
	buffers  chan []byte // of parts that were sent
	made     int         // buffers; the first ones

	id      string // empty until the first part is full
	buf     []byte
	part    uint32 // CRC-32 of buf
	whole   uint32 // CRC-32 of all
	size    int64
	partsMu sync.Mutex
	parts   []sentPart // in order, from part 1
}

// NewUpload begins an upload. When the object proves too large for a single
// request, started is called with the upload's id before the first part is
// sent, so that the id can be recorded; its error ends the upload.
//
// The caller must either Seal and Publish the upload or Abort it.
func (b *Bucket) NewUpload(ctx context.Context, object Object, started func(ctx context.Context, uploadID string) error) *Upload {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploadsInFlight)
	return &Upload{bucket: b, object: object, started: started, ctx: ctx, cancel: cancel, inFlight: group, buffers: make(chan []byte, uploadsInFlight+1)}
}

// Write adds p. It blocks while all the requests allowed are in flight, and
// returns the error of an earlier part that couldn't be sent.
func (u *Upload) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		size := partSize(len(u.parts) + 1)
		if len(u.buf) == size {
			if err := u.send(); err != nil {
				return written, err
			}
			continue
		}
		if u.buf == nil {
			u.buf = u.buffer(size)
		}
		n := min(size-len(u.buf), len(p))
		u.buf = append(u.buf, p[:n]...)
		u.part = crc32.Update(u.part, crc32.IEEETable, p[:n])
		u.whole = crc32.Update(u.whole, crc32.IEEETable, p[:n])
		u.size += int64(n)
		written += n
		p = p[n:]
	}
	return written, nil
}

// buffer returns an empty buffer of that capacity. There is one to fill and one
// for each request in flight, and they take turns: how much memory an upload
// takes shows with its third part, and not when the storage is slow for once.
func (u *Upload) buffer(size int) []byte {
	if u.made <= uploadsInFlight {
		u.made++
		return make([]byte, 0, size)
	}
	select {
	case b := <-u.buffers:
		if cap(b) >= size {
			return b[:0]
		}
	default:
	}
	return make([]byte, 0, size)
}

// send begins the upload if it has none yet and sends the buffered part in
// the background.
func (u *Upload) send() error {
	if u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	if u.id == "" {
		if err := u.create(); err != nil {
			return err
		}
	}
	u.partsMu.Lock()
	u.parts = append(u.parts, sentPart{})
	number := len(u.parts)
	u.partsMu.Unlock()
	if number > maxParts {
		return export.Errorf(export.FileTooLarge, "The file is larger than the storage allows. Ask for fewer rows or columns.")
	}
	body, crc := u.buf, u.part
	u.buf, u.part = nil, 0
	u.inFlight.Go(func() error {
		part, err := u.sendPart(int32(number), body, crc) //nolint:gosec // at most maxParts
		if err != nil {
			return err
		}
		u.buffers <- body // there is room: no more buffers are ever in use
		u.partsMu.Lock()
		defer u.partsMu.Unlock()
		u.parts[number-1] = part
		return nil
	})
	return nil
}

func (u *Upload) create() error {
	ctx, cancel := context.WithTimeout(u.ctx, requestTimeout)
	defer cancel()
	out, err := u.bucket.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket:            &u.bucket.name,
		Key:               &u.object.Key,
		ContentType:       &u.object.ContentType,
		Metadata:          map[string]string{tokenMetadata: u.object.Token},
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		ChecksumType:      types.ChecksumTypeFullObject,
	})
	if err != nil {
		return u.bucket.translate(ctx, "create upload of "+u.object.Key, err)
	}
	u.id = *out.UploadId
	return u.started(u.ctx, u.id)
}

func (u *Upload) sendPart(number int32, body []byte, crc uint32) (sentPart, error) {
	ctx, cancel := context.WithTimeout(u.ctx, bodyTimeout)
	defer cancel()
	checksum := crc32Header(crc)
	out, err := u.bucket.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket:            &u.bucket.name,
		Key:               &u.object.Key,
		UploadId:          &u.id,
		PartNumber:        &number,
		Body:              bytes.NewReader(body),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, // without it Complete says InvalidPart
		ChecksumCRC32:     checksum,
	}, impatient)
	if err != nil {
		return sentPart{}, u.bucket.translate(ctx, fmt.Sprintf("upload part %d of %s", number, u.object.Key), err)
	}
	return sentPart{CompletedPart: types.CompletedPart{ETag: out.ETag, PartNumber: &number, ChecksumCRC32: checksum}, size: int64(len(body))}, nil
}

// Sealed is a file whose bytes are all known, ready to be published.
type Sealed struct {
	Key      string
	Size     int64
	CRC32    uint32 // of the whole object
	UploadID string // empty when it will be put in one request

	object Object
	body   []byte
	parts  []sentPart
}

// sentPart is a part that S3 has taken.
type sentPart struct {
	types.CompletedPart
	size int64
}

// Seal sends what is left and waits until every part has arrived.
func (u *Upload) Seal() (Sealed, error) {
	defer u.cancel()
	sealed := Sealed{Key: u.object.Key, Size: u.size, CRC32: u.whole, object: u.object}
	if u.id == "" {
		sealed.body = u.buf
		return sealed, nil
	}
	if len(u.buf) > 0 {
		if err := u.send(); err != nil {
			return Sealed{}, err
		}
	}
	if err := u.inFlight.Wait(); err != nil {
		return Sealed{}, err
	}
	sealed.UploadID, sealed.parts = u.id, u.parts
	return sealed, nil
}

// Abort gives the upload up: it ends the requests in flight and removes the
// parts that have arrived. It is safe to call when nothing was sent, and
// after Seal.
func (u *Upload) Abort(ctx context.Context) error {
	u.cancel()
	_ = u.inFlight.Wait() // why it failed is known to whoever wrote
	if u.id == "" {
		return nil
	}
	return u.bucket.AbortUpload(ctx, u.object.Key, u.id)
}
