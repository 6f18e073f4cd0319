package invariants_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/infra/internal/invariants"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/stack"
)

const (
	id   = "01a21cf6-9e96-7b0e-a497-acfb9d7cfde9"
	key  = "exports/o/" + id + "/1.csv.gz"
	rows = "id\n1\n2\n"
)

// fixture is what a stack holds after one completed export.
type fixture struct {
	stack.State
	processes []invariants.Process
	size      int // of the file
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	name := "test-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	f := &fixture{State: stack.State{
		Table: name, Bucket: name, DatabaseURL: os.Getenv("TEST_DATABASE_URL"), PSQL: os.Getenv("TEST_PSQL"), OwnDatabase: true, Logs: t.TempDir(), Temp: t.TempDir(),
		Endpoints: localaws.Endpoints{S3: os.Getenv("TEST_S3_URL"), SQS: os.Getenv("TEST_SQS_URL"), DynamoDB: os.Getenv("TEST_DYNAMODB_URL")},
	}}
	lambda := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(f.processes) }))
	t.Cleanup(lambda.Close)
	f.Endpoints.Lambda = lambda.URL
	if _, err := f.Endpoints.S3Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	text := dynamo.ScalarAttributeTypeS
	if _, err := f.Endpoints.DynamoDBClient().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: dynamo.BillingModePayPerRequest,
		AttributeDefinitions: []dynamo.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: text}, {AttributeName: aws.String("sk"), AttributeType: text}},
		KeySchema:            []dynamo.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: dynamo.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: dynamo.KeyTypeRange}},
	}); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(rows))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.size = packed.Len()
	f.put(t, key, packed.Bytes())
	f.job(t, result(packed.Bytes()))
	f.item(t, "export#"+id, "run", map[string]any{"fence": 1})
	f.item(t, "owner#o", "quota", map[string]any{"active": 0})
	return f
}

func (f *fixture) put(t *testing.T, key string, body []byte) {
	t.Helper()
	if _, err := f.Endpoints.S3Client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &f.Bucket, Key: &key, Body: bytes.NewReader(body), Metadata: map[string]string{"export-token": "token"},
	}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) item(t *testing.T, pk, sk string, attributes map[string]any) {
	t.Helper()
	attributes = maps.Clone(attributes)
	attributes["pk"], attributes["sk"] = pk, sk
	item, err := attributevalue.MarshalMap(attributes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Endpoints.DynamoDBClient().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &f.Table, Item: item}); err != nil {
		t.Fatal(err)
	}
}

// result is what a record says of a file of the rows.
func result(packed []byte) map[string]any {
	return map[string]any{"result": map[string]any{
		"rows": 2, "bytes": len(packed), "uncompressedBytes": len(rows), "crc32": crc32.ChecksumIEEE(packed), "key": key,
	}}
}

// zipped is a gzip file.
func zipped(text string) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return packed.Bytes()
}

// split makes the export one of two files, of which the record says that they
// are so many.
func (f *fixture) split(t *testing.T, files int) {
	t.Helper()
	if _, err := f.Endpoints.S3Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: aws.String(key)}); err != nil {
		t.Fatal(err)
	}
	folder := "exports/o/" + id + "/1"
	first, second, manifest := zipped("id\n1\n"), zipped("id\n2\n"), []byte("{}")
	f.put(t, folder+"/00001.csv.gz", first)
	f.put(t, folder+"/00002.csv.gz", second)
	f.put(t, folder+".json", manifest)
	f.job(t, map[string]any{"result": map[string]any{
		"rows": 2, "bytes": len(manifest), "uncompressedBytes": 10, "key": folder + ".json", "files": files, "fileBytes": len(first) + len(second),
	}})
}

// job writes the export's record: completed, but for what is given.
func (f *fixture) job(t *testing.T, attributes map[string]any) {
	t.Helper()
	job := map[string]any{"owner": "o", "token": "token", "status": "completed", "attempt": 1}
	maps.Copy(job, attributes)
	f.item(t, "export#"+id, "job", job)
}

func (f *fixture) violations(t *testing.T) []string {
	t.Helper()
	sum := sha256.Sum256([]byte(rows))
	found, err := invariants.Check{State: f.State, Content: func(invariants.Export) (invariants.Content, bool) {
		return invariants.Content{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(rows))}, true
	}}.Violations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Whatever isn't as it must be is named.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, f *fixture)
		says  string // part of a violation; empty: there must be none
	}{
		"as it must be": {func(*testing.T, *fixture) {}, ""},
		"object missing": {func(t *testing.T, f *fixture) {
			if _, err := f.Endpoints.S3Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: aws.String(key)}); err != nil {
				t.Fatal(err)
			}
		}, "its object " + key + " is missing"},
		"other bytes": {func(t *testing.T, f *fixture) { f.put(t, key, []byte("x")) }, "has 1 bytes, its record says"},
		"other rows": {func(t *testing.T, f *fixture) {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write([]byte("id\n1\n3\n"))
			_ = z.Close()
			f.put(t, key, packed.Bytes())
			f.job(t, result(packed.Bytes()))
		}, "psql's COPY has 7"},
		"other checksum": {func(t *testing.T, f *fixture) {
			r := result(nil)
			r["result"].(map[string]any)["bytes"] = f.size
			f.job(t, r)
		}, "its record says 00000000"},
		"object of another attempt":   {func(t *testing.T, f *fixture) { f.put(t, "exports/o/"+id+"/2.csv.gz", []byte("x")) }, "is there, but its export is completed"},
		"object of nobody":            {func(t *testing.T, f *fixture) { f.put(t, "exports/o/nobody/1.csv.gz", []byte("x")) }, "belongs to no export"},
		"split as it must be":         {func(t *testing.T, f *fixture) { f.split(t, 2) }, ""},
		"file of a split one missing": {func(t *testing.T, f *fixture) { f.split(t, 3) }, "has 2 files, its record says 3"},
		"file of another attempt": {func(t *testing.T, f *fixture) {
			f.split(t, 2)
			f.put(t, "exports/o/"+id+"/2/00001.csv.gz", []byte("x"))
		}, "is there, but its export is completed"},
		"files in another order": {func(t *testing.T, f *fixture) {
			f.split(t, 2)
			f.put(t, "exports/o/"+id+"/1/00001.csv.gz", zipped("id\n2\n"))
			f.put(t, "exports/o/"+id+"/1/00002.csv.gz", zipped("id\n1\n"))
		}, "psql's COPY has 7"},
		"file without its header": {func(t *testing.T, f *fixture) {
			f.split(t, 2)
			f.put(t, "exports/o/"+id+"/1/00002.csv.gz", zipped("2\n2\n"))
		}, "has another header"},
		"open upload": {func(t *testing.T, f *fixture) {
			if _, err := f.Endpoints.S3Client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &f.Bucket, Key: aws.String("exports/o/" + id + "/3.csv.gz")}); err != nil {
				t.Fatal(err)
			}
		}, "is open"},
		"done with a lease": {func(t *testing.T, f *fixture) {
			f.item(t, "export#"+id, "run", map[string]any{"fence": 1, "lease": "2026-11-27T12:00:00.000Z", "worker": "w"})
		}, "still has a worker"},
		"failed without a reason": {func(t *testing.T, f *fixture) { f.job(t, map[string]any{"status": "failed"}) }, "failed without a reason"},
		"unknown status":          {func(t *testing.T, f *fixture) { f.job(t, map[string]any{"status": "odd"}) }, `has the status "odd"`},
		"never looked at":         {func(t *testing.T, f *fixture) { f.job(t, map[string]any{"status": "processing", "phase": "queued"}) }, "no sweep will ever look at it"},
		"end not told":            {func(t *testing.T, f *fixture) { f.item(t, "export#"+id, "notice", map[string]any{"rev": 1}) }, "not everybody was told"},
		"end told before it": {func(t *testing.T, f *fixture) {
			f.job(t, map[string]any{"status": "processing", "phase": "queued", "dueAt": "2026-11-27T12:00:00.000Z"})
			f.item(t, "export#"+id, "notice", map[string]any{"rev": 1})
		}, "somebody is to be told of its end"},
		"quota": {func(t *testing.T, f *fixture) { f.item(t, "owner#o", "quota", map[string]any{"active": 3}) }, "its quota says 3"},
		"worker for nobody": {func(_ *testing.T, f *fixture) {
			f.processes = []invariants.Process{{Function: "x-RunExportFunction", PID: os.Getpid(), State: "busy"}}
		}, "is at work, and no export is processing"},
		"temporary file": {func(t *testing.T, f *fixture) {
			if err := os.WriteFile(filepath.Join(f.Temp, "part-1"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "left the file part-1"},
		"session": {func(t *testing.T, f *fixture) {
			cmd := exec.CommandContext(t.Context(), f.PSQL, "--no-psqlrc", "--dbname", f.DatabaseURL, "--command", "SELECT pg_sleep(60)")
			cmd.Env = []string{"PGAPPNAME=csvexport " + id + "/1"}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if _, err := f.DB().Value(context.Background(), "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'csvexport "+id+"/%'"); err != nil {
					t.Error(err)
				}
				_ = cmd.Wait() // psql says that the session was ended
			})
			for deadline := time.Now().Add(10 * time.Second); len(f.violations(t)) == 0 && time.Now().Before(deadline); {
				time.Sleep(50 * time.Millisecond)
			}
		}, "a session of export " + id},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			test.spoil(t, f)
			found := strings.Join(f.violations(t), "\n")
			if test.says == "" && found != "" || !strings.Contains(found, test.says) {
				t.Errorf("found %q, want %q", found, test.says)
			}
		})
	}
}
