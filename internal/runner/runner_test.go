package runner_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/jobs"
	"csvexport/internal/publish"
	"csvexport/internal/queue"
	"csvexport/internal/runner"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// fixture is a runner on servers of its own.
type fixture struct {
	*runner.Runner
	database, bucket, table, queueURL string
	cfg                               aws.Config
}

func newFixture(t *testing.T, database string) fixture {
	t.Helper()
	f := fixture{
		database: database, cfg: servertest.AWS(t),
		bucket: servertest.Bucket(t), table: servertest.Table(t), queueURL: servertest.Queue(t),
	}
	src, err := source.New(database)
	if err != nil {
		t.Fatal(err)
	}
	store, files := jobs.New(f.cfg, f.table), bucket.NewBuckets(f.cfg, f.bucket, "")
	f.Runner = &runner.Runner{
		Jobs: store, Queue: queue.New(f.cfg, f.queueURL), Buckets: files, Source: src, Catalog: dataset.Default(),
		Publisher:   &publish.Publisher{Jobs: store, Buckets: files, Notices: queue.New(f.cfg, servertest.Queue(t)), FileTTL: time.Hour},
		Connections: 2, Worker: "test", FileTTL: time.Hour,
	}
	return f
}

// trace is that of each request.
const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func (f fixture) create(t *testing.T) export.Export {
	t.Helper()
	return f.createAt(t, time.Now())
}

func (f fixture) createAt(t *testing.T, at time.Time) export.Export {
	t.Helper()
	d, _ := dataset.Default().Find("users")
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: export.Spec{Dataset: "users"}, Token: uuid.NewString(), Traceparent: trace,
		DatasetFingerprint: d.Fingerprint(), Status: export.Processing, Phase: export.Queued,
		CreatedAt: at, DueAt: at.Add(time.Minute),
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs the export's message and returns the export after it.
func (f fixture) run(t *testing.T, id string) export.Export {
	t.Helper()
	if err := f.Run(t.Context(), queue.Message{ExportID: id}); err != nil {
		t.Fatal(err)
	}
	return f.get(t, id)
}

func (f fixture) get(t *testing.T, id string) export.Export {
	t.Helper()
	e, err := f.Jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// file returns the export's file as one gzip member, decompressed.
func (f fixture) file(t *testing.T, e export.Export) string {
	t.Helper()
	raw := f.object(t, e.Result.Key)
	if int64(len(raw)) != e.Result.Bytes || crc32.ChecksumIEEE(raw) != e.Result.CRC32 {
		t.Errorf("the object has %d bytes and CRC %08x, the record says %+v", len(raw), crc32.ChecksumIEEE(raw), e.Result)
	}
	return unpacked(t, raw)
}

func (f fixture) object(t *testing.T, key string) []byte {
	t.Helper()
	out, err := servertest.S3(t).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &f.bucket, Key: &key})
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unpacked(t *testing.T, b []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// wantNothingLeft checks that no object but those of completed exports, no
// open upload and no backend is left.
func (f fixture) wantNothingLeft(t *testing.T, e export.Export, objects int) {
	t.Helper()
	list, err := servertest.S3(t).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &f.bucket})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Contents) != objects {
		t.Errorf("%d objects, want %d", len(list.Contents), objects)
	}
	open, err := f.Buckets.For(e).OpenUploads(t.Context(), e.KeyPrefix())
	if err != nil || len(open) != 0 {
		t.Errorf("open uploads %v (%v), want none", open, err)
	}
	if strings.Contains(f.database, "127.0.0.1:1/") {
		return
	}
	// A backend ends in its own time after its connection was closed.
	n := ""
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		n = strings.TrimSpace(servertest.PSQL(t, f.database, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'csvexport `+e.ID+`/%'`))
		if n == "0" {
			return
		}
	}
	t.Errorf("%s backends of the export are left", n)
}

const copyUsers = `COPY (SELECT * FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`

func TestRunner_completes(t *testing.T) {
	for name, rows := range map[string]int{"no rows": 0, "one request": 1000, "multipart": 500_000} {
		t.Run(name, func(t *testing.T) {
			url := servertest.Database(t)
			servertest.Users(t, url, rows)
			f := newFixture(t, url)
			e := f.run(t, f.create(t).ID)
			if e.Status != export.Completed || e.Percentage() != 100 || e.Attempt != 1 || e.Result.Rows != int64(rows) {
				t.Fatalf("export %+v", e)
			}
			if multipart := e.Result.UploadID != ""; multipart != (rows == 500_000) {
				t.Errorf("upload %q for %d bytes", e.Result.UploadID, e.Result.Bytes)
			}
			want := servertest.PSQL(t, url, copyUsers)
			if got := f.file(t, e); got != want {
				t.Errorf("the file's %d bytes differ from psql's %d", len(got), len(want))
			}
			if e.Result.UncompressedBytes != int64(len(want)) {
				t.Errorf("uncompressed %d bytes, want %d", e.Result.UncompressedBytes, len(want))
			}
			f.wantNothingLeft(t, e, 1)
			again := f.run(t, e.ID) // the message comes twice
			if again.Attempt != 1 || again.Fence != e.Fence {
				t.Errorf("a second delivery changed the export: %+v", again)
			}
		})
	}
}

func TestRunner_permanentFailure(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	f := newFixture(t, url)
	e := f.create(t)
	servertest.PSQL(t, url, "ALTER TABLE users RENAME email TO mail")
	e = f.run(t, e.ID)
	if e.Status != export.Failed || e.Failure.Code != export.SourceRejected || e.Attempt != 1 {
		t.Errorf("status %s, failure %+v, attempt %d", e.Status, e.Failure, e.Attempt)
	}
	if strings.Contains(e.Failure.Message, "mail") || e.Failure.Message == "" {
		t.Errorf("message %q: want a sentence without the cause", e.Failure.Message)
	}
	f.wantNothingLeft(t, e, 0)
}

func TestRunner_changedDataset(t *testing.T) {
	f := newFixture(t, servertest.Database(t))
	e := f.create(t)
	d, _ := f.Catalog.Find("users")
	d.Relation.Name = "other"
	f.Catalog = dataset.New(d)
	e = f.run(t, e.ID)
	if e.Status != export.Failed || e.Failure.Code != export.DatasetChanged {
		t.Errorf("status %s, failure %+v", e.Status, e.Failure)
	}
}

// messages counts the queue's messages, delayed ones too.
func (f fixture) messages(t *testing.T) int {
	t.Helper()
	out, err := sqs.NewFromConfig(f.cfg).GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &f.queueURL, AttributeNames: []sqstypes.QueueAttributeName{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range out.Attributes {
		var i int
		if err := json.Unmarshal([]byte(v), &i); err != nil {
			t.Fatal(err)
		}
		n += i
	}
	return n
}

// A worker that loses its claim stops within two seconds, while no rows flow,
// and leaves everything as the new owner wants it.
func TestRunner_losesClaim(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 10)
	f := newFixture(t, url)
	e := f.create(t)
	var background sync.WaitGroup
	defer background.Wait()
	lockUsers(t, &background, url)
	lines := servertest.Log(t)
	stopped := f.start(t, &background, e.ID)
	waitFor(t, func() bool { return f.get(t, e.ID).Phase == export.Running })
	lost := time.Now()
	f.raiseFence(t, e.ID)
	if late := (<-stopped).Sub(lost); late > 2*time.Second {
		t.Errorf("the worker stopped %v after it lost its claim", late)
	}
	after := f.get(t, e.ID)
	if after.Status != export.Processing || after.Phase != export.Running || after.Fence != 2 {
		t.Errorf("the late worker changed the export: %+v", after)
	}
	servertest.WantMetrics(t, lines(), map[string]float64{"WaitSeconds": servertest.Some, "LeaseLosses": 1})
	f.wantNothingLeft(t, e, 0)
}

// lockUsers keeps everybody from the users table for six seconds.
func lockUsers(t *testing.T, background *sync.WaitGroup, url string) {
	t.Helper()
	background.Go(func() { servertest.PSQL(t, url, "BEGIN; LOCK TABLE users; SELECT pg_sleep(6)") })
	waitFor(t, func() bool {
		return strings.TrimSpace(servertest.PSQL(t, url,
			"SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'users'::regclass")) == "1"
	})
}

// start runs the export's message in the background and tells when it stopped.
func (f fixture) start(t *testing.T, background *sync.WaitGroup, id string) <-chan time.Time {
	t.Helper()
	stopped := make(chan time.Time, 1)
	background.Go(func() {
		if err := f.Run(t.Context(), queue.Message{ExportID: id}); err != nil {
			t.Error(err)
		}
		stopped <- time.Now()
	})
	return stopped
}

// raiseFence takes the right to write from whoever has it.
func (f fixture) raiseFence(t *testing.T, id string) {
	t.Helper()
	_, err := dynamodb.NewFromConfig(f.cfg).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &f.table, UpdateExpression: aws.String("ADD fence :one"),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "export#" + id}, "sk": &types.AttributeValueMemberS{Value: "run"},
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{":one": &types.AttributeValueMemberN{Value: "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// The next attempt aborts the upload of a worker that died.
func TestRunner_clearsEarlierAttempt(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 1000)
	f := newFixture(t, url)
	e := f.create(t)
	dead, err := f.Jobs.Claim(t.Context(), e, "dead", time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	u := f.Buckets.For(e).NewUpload(t.Context(), bucket.Object{Key: dead.Key(1), Token: e.Token},
		func(context.Context, string) error { return nil })
	if _, err := u.Write(make([]byte, 2*bucket.MinPartSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Seal(); err != nil {
		t.Fatal(err)
	}
	e = f.run(t, e.ID)
	if e.Status != export.Completed || e.Attempt != 2 || e.Result.Key != e.Key(2) {
		t.Fatalf("export %+v", e)
	}
	if f.file(t, e) != servertest.PSQL(t, url, copyUsers) {
		t.Error("the file differs from psql's")
	}
	f.wantNothingLeft(t, e, 1)
}

func TestRunner_unknownExport(t *testing.T) {
	f := newFixture(t, servertest.Database(t))
	if err := f.Run(t.Context(), queue.Message{ExportID: uuid.NewString()}); err != nil {
		t.Errorf("error %v: the message would come back for ever", err)
	}
	f.Jobs = jobs.New(servertest.AWSAt(t, "http://127.0.0.1:1"), f.table)
	if err := f.Run(t.Context(), queue.Message{ExportID: uuid.NewString()}); export.CodeOf(err) != export.Unavailable {
		t.Errorf("error %v, want code %s: the message must come back", err, export.Unavailable)
	}
}
