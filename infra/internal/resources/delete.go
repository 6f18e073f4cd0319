package resources

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/template"
)

// Delete deletes everything that stack declares, with what is in it. What isn't
// there is no error.
func Delete(ctx context.Context, endpoints localaws.Endpoints, stack *template.Stack) error {
	tables := endpoints.DynamoDBClient()
	for _, t := range stack.Tables {
		_, err := tables.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &t.Name})
		var absent *dynamodbtypes.ResourceNotFoundException
		if err != nil && !errors.As(err, &absent) {
			return fmt.Errorf("delete table %s: %w", t.Name, err)
		}
	}
	queues := endpoints.SQSClient()
	for _, q := range stack.Queues {
		_, err := queues.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &q.URL})
		var absent *sqstypes.QueueDoesNotExist
		if err != nil && !errors.As(err, &absent) {
			return fmt.Errorf("delete queue %s: %w", q.Name, err)
		}
	}
	buckets := endpoints.S3Client()
	for _, b := range stack.Buckets {
		err := deleteBucket(ctx, buckets, b.Name)
		var absent *s3types.NoSuchBucket
		if err != nil && !errors.As(err, &absent) {
			return fmt.Errorf("delete bucket %s: %w", b.Name, err)
		}
	}
	return nil
}

// deleteBucket deletes a bucket, after its objects and its open uploads, which
// would keep it.
func deleteBucket(ctx context.Context, client *s3.Client, bucket string) error {
	objects := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for objects.HasMorePages() {
		page, err := objects.NextPage(ctx)
		if err != nil {
			return err
		}
		var keys []s3types.ObjectIdentifier
		for _, o := range page.Contents {
			keys = append(keys, s3types.ObjectIdentifier{Key: o.Key})
		}
		if len(keys) == 0 {
			continue
		}
		if _, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &s3types.Delete{Objects: keys, Quiet: aws.Bool(true)}}); err != nil {
			return err
		}
	}
	uploads := s3.NewListMultipartUploadsPaginator(client, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if _, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId}); err != nil {
				return err
			}
		}
	}
	_, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	return err
}
