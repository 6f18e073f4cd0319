package e2e

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// A stack may use emulators and a database that run already, as they do in
// docker-compose.yml's containers: it creates what the template declares there,
// and an ephemeral one takes it away again. The URL of the database comes from
// Secrets Manager, as in AWS.
func TestRunningEmulator(t *testing.T) {
	shared.seed(t, smallRows)
	secret := shared.databaseSecret(t)
	name := stackName("running")
	l, err := up(name, "-ephemeral", "-port", "0", "-emulator", shared.Endpoints.S3, "-dynamodb-url", shared.Endpoints.DynamoDB,
		"-database-url", shared.DatabaseURL, "-param", "DatabaseUrl=", "-param", "DatabaseSecretArn="+secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.process.Kill)
	if len(l.Processes) > 0 {
		t.Errorf("the stack has servers of its own: %+v", l.Processes)
	}
	before := time.Now().Add(-time.Second)
	done := l.follow(t, l.create(t).ExportID, time.Minute, nil)
	checkCompleted(t, done, before, 1)
	l.rows = smallRows
	l.checkFile(t, done)
	if there := shared.belongings(t, name); len(there) != 5 {
		t.Errorf("%v: want a table, three queues and a bucket", there)
	}
	if err := l.stop(); err != nil {
		t.Fatalf("%v\n%s", err, l.output)
	}
	if left := shared.belongings(t, name); len(left) > 0 {
		t.Errorf("the stack has left %v", left)
	}
}

// databaseSecret keeps the connection of the functions in Secrets Manager, in
// the form that RDS writes, and returns the secret's ARN.
func (l *local) databaseSecret(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(l.ReaderURL)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	text, err := json.Marshal(map[string]any{
		"host": u.Hostname(), "port": atoi(t, []byte(u.Port())), "username": u.User.Username(), "password": password, "dbname": strings.TrimPrefix(u.Path, "/"),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := l.Endpoints.SecretsManagerClient()
	out, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("database"), SecretString: aws.String(string(text))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := client.DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: out.ARN, ForceDeleteWithoutRecovery: aws.Bool(true)})
		if err != nil {
			t.Error(err)
		}
	})
	return *out.ARN
}

// belongings are the tables, queues and buckets whose names begin with that of
// a stack.
func (l *local) belongings(t *testing.T, stack string) []string {
	t.Helper()
	var names []string
	tables, err := l.Endpoints.DynamoDBClient().ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, tables.TableNames...)
	queues, err := l.Endpoints.SQSClient().ListQueues(t.Context(), &sqs.ListQueuesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range queues.QueueUrls {
		names = append(names, u[strings.LastIndex(u, "/")+1:])
	}
	buckets, err := l.Endpoints.S3Client().ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range buckets.Buckets {
		names = append(names, *b.Name)
	}
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, stack+"-") })
}
