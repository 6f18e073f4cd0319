// Package resources creates what a template declares - tables, queues and
// buckets - in the local stand-ins.
//
// Protections that mean nothing locally (encryption, backups, public access)
// and rules that the stand-ins lack (S3 lifecycle) are left out.
package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/template"
)

const activeTimeout = 30 * time.Second

// Create creates everything that stack declares. What is there already, from an
// earlier start with the same declarations, is left as it is.
func Create(ctx context.Context, endpoints localaws.Endpoints, stack *template.Stack) error {
	tables := endpoints.DynamoDBClient()
	for _, t := range stack.Tables {
		if err := createTable(ctx, tables, t); err != nil {
			return fmt.Errorf("create table %s: %w", t.Name, err)
		}
	}
	queues := endpoints.SQSClient()
	for _, redrives := range []bool{false, true} { // a dead-letter queue must be there before it is named
		for _, q := range stack.Queues {
			if (q.DeadLetterARN != "") != redrives {
				continue
			}
			if err := createQueue(ctx, queues, q); err != nil {
				return fmt.Errorf("create queue %s: %w", q.Name, err)
			}
		}
	}
	delivery := template.Bucket{Name: localaws.DeliveryBucket} // which no template declares: it is somebody else's
	buckets := endpoints.S3Client()
	for _, b := range append([]template.Bucket{delivery}, stack.Buckets...) {
		if err := createBucket(ctx, buckets, b); err != nil {
			return fmt.Errorf("create bucket %s: %w", b.Name, err)
		}
	}
	return nil
}

func createBucket(ctx context.Context, client *s3.Client, b template.Bucket) error {
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b.Name})
	var owned *s3types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &owned) {
		return err
	}
	if len(b.CORS) == 0 {
		return nil
	}
	var rules []s3types.CORSRule
	for _, r := range b.CORS {
		rules = append(rules, s3types.CORSRule{
			AllowedOrigins: r.Origins, AllowedMethods: r.Methods, AllowedHeaders: r.Headers, ExposeHeaders: r.Exposed,
			MaxAgeSeconds: aws.Int32(int32(r.MaxAge)), //nolint:gosec // a day at most
		})
	}
	_, err = client.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: &b.Name, CORSConfiguration: &s3types.CORSConfiguration{CORSRules: rules}})
	return err
}

func createTable(ctx context.Context, client *dynamodb.Client, t template.Table) error {
	input := &dynamodb.CreateTableInput{
		TableName: &t.Name, BillingMode: dynamodbtypes.BillingModePayPerRequest, KeySchema: keySchema(t.Key),
	}
	for _, a := range t.Attributes {
		input.AttributeDefinitions = append(input.AttributeDefinitions, dynamodbtypes.AttributeDefinition{
			AttributeName: aws.String(a.Name), AttributeType: dynamodbtypes.ScalarAttributeType(a.Type),
		})
	}
	for _, index := range t.Indexes {
		input.GlobalSecondaryIndexes = append(input.GlobalSecondaryIndexes, dynamodbtypes.GlobalSecondaryIndex{
			IndexName: aws.String(index.Name), KeySchema: keySchema(index.Key),
			Projection: &dynamodbtypes.Projection{
				ProjectionType: dynamodbtypes.ProjectionType(index.Projection), NonKeyAttributes: index.Include,
			},
		})
	}
	_, err := client.CreateTable(ctx, input)
	var exists *dynamodbtypes.ResourceInUseException
	if errors.As(err, &exists) {
		return nil
	}
	if err != nil {
		return err
	}
	err = dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond }).
		Wait(ctx, &dynamodb.DescribeTableInput{TableName: &t.Name}, activeTimeout)
	if err != nil || t.TTLAttribute == "" {
		return err
	}
	_, err = client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &t.Name,
		TimeToLiveSpecification: &dynamodbtypes.TimeToLiveSpecification{AttributeName: &t.TTLAttribute, Enabled: aws.Bool(true)},
	})
	return err
}

func keySchema(elements []template.KeyElement) []dynamodbtypes.KeySchemaElement {
	var schema []dynamodbtypes.KeySchemaElement
	for _, e := range elements {
		schema = append(schema, dynamodbtypes.KeySchemaElement{AttributeName: aws.String(e.Name), KeyType: dynamodbtypes.KeyType(e.Type)})
	}
	return schema
}

func createQueue(ctx context.Context, client *sqs.Client, q template.Queue) error {
	attributes := map[string]string{}
	if q.VisibilityTimeout > 0 {
		attributes["VisibilityTimeout"] = seconds(q.VisibilityTimeout)
	}
	if q.RetentionPeriod > 0 {
		attributes["MessageRetentionPeriod"] = seconds(q.RetentionPeriod)
	}
	if q.DeadLetterARN != "" {
		policy, err := json.Marshal(map[string]any{"deadLetterTargetArn": q.DeadLetterARN, "maxReceiveCount": q.MaxReceiveCount})
		if err != nil {
			return err
		}
		attributes["RedrivePolicy"] = string(policy)
	}
	created, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &q.Name, Attributes: attributes})
	if err != nil {
		return err
	}
	if got := aws.ToString(created.QueueUrl); got != q.URL {
		return fmt.Errorf("its address is %s, the functions were told %s", got, q.URL)
	}
	return nil
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
