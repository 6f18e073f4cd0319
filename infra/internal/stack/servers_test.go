package stack_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/resources"
	"csvexport/infra/internal/stack"
	"csvexport/infra/internal/template"
)

const root = "../../.."

func open(t *testing.T, name string) *stack.Folder {
	t.Helper()
	f, err := stack.Open(root, name, false)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// serve starts the stand-ins of AWS with the template's resources, calls f and stops them.
func serve(t *testing.T, folder *stack.Folder, clean bool, f func(localaws.Endpoints, *template.Stack)) {
	t.Helper()
	servers, err := folder.StartServers(t.Context(), stack.ServersConfig{Resources: "v1", Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	declared, err := template.Load(root+"/template.yaml", template.Options{StackName: folder.Name, QueueURL: servers.Endpoints.QueueURL})
	if err == nil {
		err = resources.Create(t.Context(), servers.Endpoints, declared)
	}
	if err == nil {
		f(servers.Endpoints, declared)
	}
	if clean {
		err = stack.StopAndKeep(t.Context(), folder, servers)
	} else {
		err = servers.Stop(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

// put leaves a record, a message and a file.
func put(t *testing.T, e localaws.Endpoints, declared *template.Stack) {
	t.Helper()
	key := &dynamodbtypes.AttributeValueMemberS{Value: "k"}
	_, err := e.DynamoDBClient().PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: &declared.Tables[0].Name, Item: map[string]dynamodbtypes.AttributeValue{"pk": key, "sk": key},
	})
	if err == nil {
		_, err = e.SQSClient().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &declared.Queues[0].URL, MessageBody: aws.String("hello")})
	}
	if err == nil {
		_, err = e.S3Client().PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &declared.Buckets[0].Name, Key: aws.String("exports/file"), Body: strings.NewReader("content"), ContentType: aws.String("application/gzip"),
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// found lists what is there of what put left.
func found(t *testing.T, e localaws.Endpoints, declared *template.Stack) []string {
	t.Helper()
	list := []string{}
	scan, err := e.DynamoDBClient().Scan(t.Context(), &dynamodb.ScanInput{TableName: &declared.Tables[0].Name})
	if err != nil {
		t.Fatal(err)
	}
	if scan.Count > 0 {
		list = append(list, "record")
	}
	messages, err := e.SQSClient().ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &declared.Queues[0].URL, VisibilityTimeout: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages.Messages {
		list = append(list, "message "+*m.Body)
	}
	object, err := e.S3Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &declared.Buckets[0].Name, Key: aws.String("exports/file")})
	if err == nil {
		defer object.Body.Close()
		content, err := io.ReadAll(object.Body)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, "file "+string(content)+" "+*object.ContentType)
	}
	return list
}

func TestStartServers_KeepsStateOfCleanStop(t *testing.T) {
	folder := open(t, "servers-test")
	defer func() {
		if err := folder.Close(); err != nil {
			t.Error(err)
		}
		if err := stack.Down(context.Background(), root, "servers-test", true, io.Discard); err != nil {
			t.Error(err)
		}
	}()
	all := []string{"record", "message hello", "file content application/gzip"}
	serve(t, folder, true, func(e localaws.Endpoints, declared *template.Stack) { put(t, e, declared) })
	serve(t, folder, false, func(e localaws.Endpoints, declared *template.Stack) {
		if diff := cmp.Diff(all, found(t, e, declared)); diff != "" {
			t.Errorf("after a clean stop (-want +got):\n%s", diff)
		}
	})
	serve(t, folder, false, func(e localaws.Endpoints, declared *template.Stack) {
		if diff := cmp.Diff([]string{}, found(t, e, declared)); diff != "" {
			t.Errorf("after a stop that was not clean all must go, so that no file is without its record (-want +got):\n%s", diff)
		}
	})
}

func TestCreate(t *testing.T) {
	folder, err := stack.Open(root, "resources-test", true)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	serve(t, folder, false, func(e localaws.Endpoints, declared *template.Stack) {
		if err := resources.Create(t.Context(), e, declared); err != nil {
			t.Fatalf("creating what is there already: %v", err)
		}
		checkTable(t, e, "resources-test-Table")
		queue, err := e.SQSClient().GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: aws.String(e.QueueURL("resources-test-Queue")), AttributeNames: []sqstypes.QueueAttributeName{"All"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if a := queue.Attributes; a["VisibilityTimeout"] != "5400" || a["MessageRetentionPeriod"] != "1209600" ||
			!strings.Contains(a["RedrivePolicy"], "resources-test-DeadLetterQueue") || !strings.Contains(a["RedrivePolicy"], "10") {
			t.Errorf("queue attributes: %v", a)
		}
		if _, err := e.S3Client().HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("resources-test-bucket")}); err != nil {
			t.Error(err)
		}
		unsigned := s3.New(s3.Options{
			BaseEndpoint: &e.S3, Region: localaws.Region, UsePathStyle: true,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: localaws.AccessKey, SecretAccessKey: "wrong"}, nil
			}),
		})
		if _, err := unsigned.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
			t.Error("S3 takes a wrong signature")
		}
	})
}

func checkTable(t *testing.T, e localaws.Endpoints, name string) {
	t.Helper()
	table, err := e.DynamoDBClient().DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	indexes := map[string]string{}
	for _, index := range table.Table.GlobalSecondaryIndexes {
		keys := ""
		for _, k := range index.KeySchema {
			keys += *k.AttributeName + " "
		}
		indexes[*index.IndexName] = keys + string(index.Projection.ProjectionType)
	}
	want := map[string]string{"by-owner": "owner createdAt INCLUDE", "by-due-time": "dueShard dueAt KEYS_ONLY", "by-queue": "queueShard createdAt KEYS_ONLY"}
	if diff := cmp.Diff(want, indexes); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
	ttl, err := e.DynamoDBClient().DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if d := ttl.TimeToLiveDescription; d.TimeToLiveStatus != "ENABLED" || *d.AttributeName != "ttl" {
		t.Errorf("time to live: %+v", d)
	}
}
