package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Publish makes the sealed file appear under its key, unless there is an
// object already. After an error it may have appeared all the same - the
// answer can be lost - so the caller must ask Head before it decides.
func (b *Bucket) Publish(ctx context.Context, s Sealed) error {
	ctx, cancel := context.WithTimeout(ctx, bodyTimeout)
	defer cancel()
	if s.UploadID == "" {
		return b.translate(ctx, "put "+s.Key, b.put(ctx, s))
	}
	err := b.complete(ctx, s)
	if apiErr, ok := errors.AsType[smithy.APIError](err); ok && apiErr.ErrorCode() == "InvalidPart" {
		// S3 knows a part under another ETag than it told, or than arrived here. If it is the part that was sent, that one will do.
		if listErr := b.renewETags(ctx, s); listErr != nil {
			err = errors.Join(listErr, err)
		} else {
			err = b.complete(ctx, s)
		}
	}
	return b.translate(ctx, "complete upload of "+s.Key, err)
}

func (b *Bucket) put(ctx context.Context, s Sealed) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:            &b.name,
		Key:               &s.Key,
		Body:              bytes.NewReader(s.body),
		ContentType:       &s.object.ContentType,
		Metadata:          map[string]string{tokenMetadata: s.object.Token},
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		ChecksumCRC32:     crc32Header(s.CRC32),
		IfNoneMatch:       new("*"),
	}, impatient)
	return err
}

func (b *Bucket) complete(ctx context.Context, s Sealed) error {
	parts := make([]types.CompletedPart, len(s.parts))
	for i, part := range s.parts {
		parts[i] = part.CompletedPart
	}
	_, err := b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          &b.name,
		Key:             &s.Key,
		UploadId:        &s.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		ChecksumCRC32:   crc32Header(s.CRC32),
		ChecksumType:    types.ChecksumTypeFullObject,
		MpuObjectSize:   &s.Size,
		IfNoneMatch:     new("*"),
	})
	return err
}

// renewETags takes over the ETags that S3 has for the parts, provided that
// each part is there with the size and the checksum that it was sent with.
func (b *Bucket) renewETags(ctx context.Context, s Sealed) error {
	there := map[int32]types.Part{}
	pages := s3.NewListPartsPaginator(b.client, &s3.ListPartsInput{Bucket: &b.name, Key: &s.Key, UploadId: &s.UploadID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list parts: %w", err)
		}
		for _, part := range page.Parts {
			there[aws.ToInt32(part.PartNumber)] = part
		}
	}
	for i, sent := range s.parts {
		part, ok := there[*sent.PartNumber]
		if !ok || aws.ToInt64(part.Size) != sent.size || aws.ToString(part.ChecksumCRC32) != *sent.ChecksumCRC32 {
			return fmt.Errorf("part %d isn't there as it was sent", i+1)
		}
		s.parts[i].ETag = part.ETag
	}
	return nil
}
