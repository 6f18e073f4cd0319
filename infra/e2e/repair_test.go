package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
)

const repairDatasets = `
datasets:
  - {name: users, relation: public.users, key: [id], columns: [id, name]}
destinations:
  - {name: theirs, bucket: ` + theirs + `, prefix: csv/, role: "arn:aws:iam::000000000000:role/repair"}
`

func text(s string) dynamo.AttributeValue { return &dynamo.AttributeValueMemberS{Value: s} }
func num(n int) dynamo.AttributeValue     { return &dynamo.AttributeValueMemberN{Value: fmt.Sprint(n)} }

// past is a time at which everything was due.
var past = text("2024-01-01T00:00:00.000Z")

// Whatever state a worker or a message that is lost leaves behind is mended by
// the sweep, and by the function behind the dead-letter queue: each has the
// rights for all of it. Nothing is delivered here, so that nobody else does.
func TestRepair(t *testing.T) {
	file := filepath.Join(t.TempDir(), "datasets.yaml")
	writeFile(t, file, repairDatasets)
	l, err := up(stackName("repair"), append(plenty, "-ephemeral", "-port", "0", "-requests-only", "-datasets", file,
		"-param", "DeliveryRoles=arn:aws:iam::000000000000:role/repair")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	for name, repair := range map[string]func(t *testing.T, ids []string){
		"sweep":       func(t *testing.T, _ []string) { l.sweep(t) },
		"dead letter": l.deadLetters,
	} {
		t.Run(name, func(t *testing.T) { l.checkRepairs(t, repair) })
	}
	t.Run("a quota that drifted", l.checkDriftedQuota)
}

// deadLetters has the function behind the dead-letter queue get a message of
// each export.
func (l *local) deadLetters(t *testing.T, ids []string) {
	var records []string
	for _, id := range ids {
		records = append(records, fmt.Sprintf(`{"messageId":"m-%s","eventSource":"aws:sqs","body":"{\"v\":1,\"exportId\":\"%s\"}"}`, id, id))
	}
	address := l.Endpoints.Lambda + "/2015-03-31/functions/DeadLetterFunction/invocations"
	a := l.request(t, http.MethodPost, address, `{"Records":[`+strings.Join(records, ",")+`]}`)
	if a.status != http.StatusOK || a.header.Get("X-Amz-Function-Error") != "" || strings.Contains(string(a.body), "itemIdentifier") {
		t.Fatalf("dead-letter answers %d\n%s", a.status, a.body)
	}
}

// checkRepairs makes exports of every kind that needs repair, has them
// repaired, and looks at each.
func (l *local) checkRepairs(t *testing.T, repair func(t *testing.T, ids []string)) {
	waiting, finalizing, spent := l.create(t).ExportID, l.create(t).ExportID, l.create(t).ExportID
	cancelled, delivered := l.create(t).ExportID, l.createWith(t, `{"destination":{"name":"theirs"}}`)
	l.drain(t, l.QueueURL)
	l.setItem(t, waiting, "job", past, "dueAt")

	upload := l.leaveUpload(t, l.Bucket, key(finalizing, 1))
	l.setItem(t, finalizing, "job", num(1), "attempt")
	l.setItem(t, finalizing, "job", text("finalizing"), "phase")
	l.setItem(t, finalizing, "job", past, "dueAt")
	l.setItem(t, finalizing, "job", &dynamo.AttributeValueMemberM{Value: map[string]dynamo.AttributeValue{
		"rows": num(1), "bytes": num(30), "uncompressedBytes": num(10), "crc32": num(0), "key": text(key(finalizing, 1)), "uploadId": text(upload),
	}}, "result")
	l.setItem(t, finalizing, "run", past, "lease")

	l.setItem(t, spent, "job", num(5), "attempt")
	l.setItem(t, spent, "job", text("running"), "phase")
	l.setItem(t, spent, "job", past, "dueAt")
	l.setItem(t, spent, "run", past, "lease")

	for id, place := range map[string][2]string{cancelled: {l.Bucket, key(cancelled, 1)}, delivered: {theirs, "csv/" + delivered + "/1.csv.gz"}} {
		l.remove(t, id)
		l.leaveObject(t, place[0], place[1])
		l.leaveUpload(t, place[0], place[1])
		l.setItem(t, id, "job", past, "dueAt") // as if a worker had left all that: one that never ran leaves nothing to look for
		l.setItem(t, id, "job", text("0"), "dueShard")
	}

	l.drain(t, l.NotifyQueueURL)
	repair(t, []string{waiting, finalizing, spent, cancelled, delivered})
	if diff := cmp.Diff(sorted(waiting, finalizing), l.drain(t, l.QueueURL)); diff != "" {
		t.Errorf("exports that were sent again (-want +got):\n%s", diff)
	}
	if told := l.drain(t, l.NotifyQueueURL); !slices.Contains(told, spent) {
		t.Errorf("told of the ends of %v, want also %s", told, spent)
	}
	for id, want := range map[string]string{waiting: "processing queued", finalizing: "processing queued", spent: "failed attempts_exhausted", cancelled: "cancelled", delivered: "cancelled"} {
		s := decodeStatus(t, l.get(t, "/exports/"+id+"/status"), http.StatusOK)
		if got := strings.TrimSpace(s.Status + " " + aws.ToString(s.Phase) + aws.ToString(s.ErrorCode)); got != want {
			t.Errorf("export is %s, want %s", got, want)
		}
		if open, keys := l.uploads(t, id), l.keys(t, id); len(open)+len(keys) > 0 {
			t.Errorf("%s: left are %d uploads and %v", want, len(open), keys)
		}
	}
	if left := l.openUploads(t, theirs); left > 0 {
		t.Errorf("%d uploads are left in the destination", left)
	}
	l.checkEmpty(t, theirs)
	for _, id := range []string{waiting, finalizing} { // they would be due again for the next
		l.remove(t, id)
	}
}

// drain takes all messages out of a queue and returns the exports that they
// name, sorted.
func (l *local) drain(t *testing.T, queue string) []string {
	t.Helper()
	client := l.Endpoints.SQSClient()
	var ids []string
	for {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			slices.Sort(ids)
			return ids
		}
		for _, m := range out.Messages {
			_, id, _ := strings.Cut(*m.Body, `"exportId":"`)
			id, _, _ = strings.Cut(id, `"`)
			ids = append(ids, id)
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func sorted(ids ...string) []string {
	slices.Sort(ids)
	return ids
}

func (l *local) leaveUpload(t *testing.T, bucket, key string) (id string) {
	t.Helper()
	client := l.Endpoints.S3Client()
	out, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &bucket, Key: &key, UploadId: out.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("left"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.UploadId
}

func (l *local) leaveObject(t *testing.T, bucket, key string) {
	t.Helper()
	_, err := l.Endpoints.S3Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("left")})
	if err != nil {
		t.Fatal(err)
	}
}

func (l *local) openUploads(t *testing.T, bucket string) int {
	t.Helper()
	out, err := l.Endpoints.S3Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

func (l *local) checkEmpty(t *testing.T, bucket string) {
	t.Helper()
	out, err := l.Endpoints.S3Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Contents {
		t.Errorf("bucket %s has %s", bucket, *o.Key)
	}
}

// checkDriftedQuota spoils the number of an owner's active exports, which the
// sweep counts anew.
func (l *local) checkDriftedQuota(t *testing.T) {
	_, err := l.Endpoints.DynamoDBClient().UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &l.Table, Key: map[string]dynamo.AttributeValue{"pk": text("owner#anonymous"), "sk": text("quota")},
		UpdateExpression:          aws.String("SET active = :wrong, changedAt = :past, dueShard = :shard, dueAt = :past"),
		ExpressionAttributeValues: map[string]dynamo.AttributeValue{":wrong": num(99), ":past": past, ":shard": text("0")},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.sweep(t)
	if active := l.items(t, "owner#anonymous")["quota"]["active"]; active != number(0) {
		t.Errorf("the owner has %v active exports, want 0", active)
	}
}

// A part that isn't the one that was sent is noticed at the end: the attempt is
// given up, leaves nothing, and the next one makes the file.
func TestExport_partReplaced(t *testing.T) {
	shared.seed(t, largeRows)
	before := time.Now().Add(-time.Second)
	id := shared.create(t).ExportID
	eventually(t, time.Minute, "the first part is up", func() bool { return shared.parts(t, id) > 0 })
	for _, u := range shared.uploads(t, id) {
		_, err := shared.Endpoints.S3Client().UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: &shared.Bucket, Key: u.Key, UploadId: u.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader(strings.Repeat("x", 8<<20)),
			ChecksumAlgorithm: s3types.ChecksumAlgorithmCrc32, // as the upload was created with; LocalStack refuses others
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var done status
	eventually(t, 2*time.Minute, "the export is done", func() bool { // its phase goes back
		done = decodeStatus(t, shared.get(t, "/exports/"+id+"/status"), http.StatusOK)
		return done.Done
	})
	checkCompleted(t, done, before, 2)
	shared.checkFile(t, done)
	shared.checkNothingLeft(t, id)
}

// A split export that is cancelled takes the files with it that were published.
func TestCancel_split(t *testing.T) {
	shared.seed(t, cancelRows)
	id := shared.createWith(t, fmt.Sprintf(`{"maxRowsPerFile":%d}`, cancelRows/20))
	eventually(t, time.Minute, "the first file is there", func() bool { return len(shared.keys(t, id)) > 0 })
	shared.remove(t, id)
	eventually(t, 10*time.Second, "the worker stopped", func() bool { return !shared.logged(t, "claim lost", id).IsZero() })
	// A file that was on its way when the worker stopped is left to the sweep.
	eventually(t, 90*time.Second, "no file is left", func() bool { return len(shared.keys(t, id)) == 0 })
	shared.checkNothingLeft(t, id)
}

// A file that somebody took out of the service's bucket is an error of the
// service: it must be told from a storage that doesn't answer.
func TestDownload_lost(t *testing.T) {
	shared.seed(t, smallRows)
	done := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
	if _, err := shared.Endpoints.S3Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &shared.Bucket, Key: aws.String(key(done.ExportID, 1))}); err != nil {
		t.Fatal(err)
	}
	if a := shared.request(t, http.MethodHead, "/exports/"+done.ExportID+"/download", ""); a.status != http.StatusInternalServerError {
		t.Errorf("HEAD answers %d, want 500", a.status)
	}
	shared.remove(t, done.ExportID)
}
