// Package servertest gives tests a database, a table, a queue and a bucket of
// their own on the servers whose addresses are in the environment: `make test`
// starts them (infra/local, command run). A test that needs a server that
// isn't there fails; it never skips.
package servertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/jackc/pgx/v5"

	"csvexport/internal/awsconfig"
)

func env(t testing.TB, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s isn't set; run the tests by `make test`", name)
	}
	return v
}

// unique makes a name that no other test has.
func unique() string { return "test-" + strings.ToLower(rand.Text()[:12]) }

// AWS returns the SDK's configuration for the stand-ins; `local run` has put
// their addresses where the SDK looks for them.
func AWS(t testing.TB) aws.Config {
	t.Helper()
	env(t, "AWS_ENDPOINT_URL")
	cfg, err := awsconfig.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// AWSAt returns a configuration under which every service is at url, so that
// a proxy can stand before it. Calls aren't repeated.
func AWSAt(t testing.TB, url string) aws.Config {
	t.Helper()
	cfg := AWS(t)
	cfg.BaseEndpoint = &url
	cfg.ConfigSources = nil // they name the servers' own addresses
	cfg.RetryMaxAttempts = 1
	return cfg
}

// Table creates a table like template.yaml's and returns its name.
func Table(t testing.TB) string {
	t.Helper()
	env(t, "TEST_DYNAMODB_URL")
	client, name := dynamodb.NewFromConfig(AWS(t)), unique()
	attribute := func(n string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &n, AttributeType: types.ScalarAttributeTypeS}
	}
	keys := func(hash, sort string) []types.KeySchemaElement {
		return []types.KeySchemaElement{
			{AttributeName: &hash, KeyType: types.KeyTypeHash},
			{AttributeName: &sort, KeyType: types.KeyTypeRange},
		}
	}
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			attribute("pk"), attribute("sk"), attribute("owner"), attribute("createdAt"), attribute("dueShard"), attribute("dueAt"), attribute("queueShard"),
		},
		KeySchema: keys("pk", "sk"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			{IndexName: aws.String("by-owner"), KeySchema: keys("owner", "createdAt"), Projection: &types.Projection{
				ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"status", "expiresAt", "ttl"},
			}},
			{IndexName: aws.String("by-due-time"), KeySchema: keys("dueShard", "dueAt"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}},
			{IndexName: aws.String("by-queue"), KeySchema: keys("queueShard", "createdAt"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}},
		},
	})
	// The name is ours alone: a table that is there was made by a request whose answer was lost.
	if _, there := errors.AsType[*types.ResourceInUseException](err); err != nil && !there {
		t.Fatalf("create table: %v", err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Errorf("delete table: %v", err)
		}
	})
	return name
}

// Queue creates a queue and returns its URL.
func Queue(t testing.TB) string {
	t.Helper()
	env(t, "TEST_SQS_URL")
	client := sqs.NewFromConfig(AWS(t))
	out, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(unique())})
	if err != nil {
		t.Fatalf("create queue: %v", err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteQueue(context.Background(), &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}); err != nil {
			t.Errorf("delete queue: %v", err)
		}
	})
	return *out.QueueUrl
}

// Bucket creates a bucket and returns its name.
func Bucket(t testing.TB) string {
	t.Helper()
	env(t, "TEST_S3_URL")
	name := unique()
	client := S3(t)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("create bucket: %v", err)
	}
	return name
}

// Roles for the stand-in of STS: one that may be assumed with ExternalID, and
// one of another account, which trusts nobody here.
const (
	ExternalID  = "ours"
	Role        = "arn:aws:iam::000000000000:role/external-id/" + ExternalID + "/delivery"
	ForeignRole = "arn:aws:iam::111122223333:role/delivery"
)

// S3 returns a client to look at buckets with.
func S3(t testing.TB) *s3.Client {
	t.Helper()
	return s3.NewFromConfig(AWS(t), func(o *s3.Options) { o.UsePathStyle = true })
}

// Server returns the URL of the server's own database, as its superuser.
func Server(t testing.TB) string {
	t.Helper()
	return env(t, "TEST_DATABASE_URL")
}

// Database creates a database of the test's own and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	server, name := Server(t), unique()
	admin := func(sql string) {
		t.Helper()
		conn, err := pgx.Connect(context.Background(), server)
		if err != nil {
			t.Fatalf("connect: %v", err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	quoted := pgx.Identifier{name}.Sanitize()
	admin("CREATE DATABASE " + quoted)
	t.Cleanup(func() { admin("DROP DATABASE " + quoted + " WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// Version is the server's major version. What older ones don't have is left out
// of a table of cases, which says since when it is there.
func Version(t testing.TB) int {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimSpace(PSQL(t, Server(t), "SHOW server_version_num")))
	if err != nil {
		t.Fatal(err)
	}
	return number / 10000
}

// PSQL runs a statement, or several, in the database at url and returns what
// psql prints. It is how tests know what is right: without any code of ours.
func PSQL(t testing.TB, url, sql string) string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), env(t, "TEST_PSQL"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set", "ON_ERROR_STOP=1", "--dbname", url, "--command", sql)
	cmd.Env = append(os.Environ(), "PGTZ=UTC")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("psql: %v\n%s\n%s", err, stderr.String(), sql)
	}
	return stdout.String()
}

// Lock locks a table against everybody else until the test ends.
func Lock(t testing.TB, url, table string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+pgx.Identifier{table}.Sanitize()+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
}

// Seed makes an example table by its script in the project's seeds folder,
// whose path is given.
func Seed(t testing.TB, url, folder, name string, rows int) {
	t.Helper()
	Script(t, url, filepath.Join(folder, "generate-"+name+".sql"), fmt.Sprint("rows=", rows))
}

// Script runs a script of psql with variables, given as name=value.
func Script(t testing.TB, url, path string, variables ...string) {
	t.Helper()
	args := []string{"--no-psqlrc", "--dbname", url, "--file", path}
	for _, v := range variables {
		args = append(args, "--set", v)
	}
	if out, err := exec.CommandContext(t.Context(), env(t, "TEST_PSQL"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, out)
	}
}

// Refused runs a statement that must fail, and returns what psql says.
func Refused(t testing.TB, url, sql string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), env(t, "TEST_PSQL"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", url, "--command", sql)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("%s was not refused", sql)
	}
	return string(out)
}

// Users makes a users table of n rows, with NULLs and with names that are
// hard for CSV.
func Users(t testing.TB, url string, n int) {
	t.Helper()
	PSQL(t, url, fmt.Sprintf(`
		CREATE TABLE users (
			id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL, email VARCHAR(255) UNIQUE NOT NULL,
			signup_date TIMESTAMPTZ DEFAULT now(), country_code CHAR(2) NOT NULL,
			subscription_tier VARCHAR(50) DEFAULT 'free', lifetime_value NUMERIC(10,2) DEFAULT 0.00);
		INSERT INTO users (name, email, signup_date, country_code, subscription_tier, lifetime_value)
		SELECT CASE i %% 6 WHEN 0 THEN 'plain' WHEN 1 THEN 'comma, inside' WHEN 2 THEN 'quote "inside"'
				WHEN 3 THEN E'line\nbreak' WHEN 4 THEN 'Zoë Łukasz 𝔘' ELSE E'\\.' END || ' ' || i,
			'user' || i || '@example.com',
			CASE WHEN i %% 7 <> 0 THEN timestamptz '2024-01-01 00:00:00+00' + i * interval '1 minute 1 millisecond' END,
			(ARRAY['US','DE','FR'])[i %% 3 + 1],
			CASE WHEN i %% 5 <> 0 THEN 'premium' END,
			CASE WHEN i %% 11 <> 0 THEN i / 100.0 END
		FROM generate_series(1, %d) i;
		ANALYZE users`, n))
}

// ThroughS3 is a handler that passes requests on to the tests' S3, for a proxy
// before it.
func ThroughS3(t testing.TB) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(env(t, "TEST_S3_URL"))
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.Host = r.In.Host // the signature covers it
	}}
}
