package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/invariants"
)

// items returns the items under a partition key by their sort keys, with
// numbers as DynamoDB writes them: as text. A notice is left out: it goes as
// soon as everybody was told; see TestNotice.
func (l *local) items(t *testing.T, pk string) map[string]map[string]any {
	t.Helper()
	out, err := l.Endpoints.DynamoDBClient().Query(t.Context(), &dynamodb.QueryInput{
		TableName: &l.Table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("pk = :pk"),
		ExpressionAttributeValues: map[string]dynamo.AttributeValue{":pk": &dynamo.AttributeValueMemberS{Value: pk}},
	})
	if err != nil {
		t.Fatal(err)
	}
	items := map[string]map[string]any{}
	for _, item := range out.Items {
		plain := plainMap(t, item)
		if plain["sk"] != "notice" {
			items[plain["sk"].(string)] = plain
		}
	}
	return items
}

func plainMap(t *testing.T, m map[string]dynamo.AttributeValue) map[string]any {
	t.Helper()
	plain := map[string]any{}
	for name, value := range m {
		switch v := value.(type) {
		case *dynamo.AttributeValueMemberS:
			plain[name] = v.Value
		case *dynamo.AttributeValueMemberN:
			plain[name] = json.Number(v.Value)
		case *dynamo.AttributeValueMemberM:
			plain[name] = plainMap(t, v.Value)
		default:
			t.Fatalf("attribute %s is a %T", name, value)
		}
	}
	return plain
}

func number[T int | int64](n T) json.Number {
	b, _ := json.Marshal(n) // an integer
	return json.Number(b)
}

// crcOf is the status's checksum as a number.
func crcOf(t *testing.T, s status) int {
	t.Helper()
	sum, err := base64.StdEncoding.DecodeString(s.File.Checksum.Value)
	if err != nil || len(sum) != 4 {
		t.Fatalf("checksum %q", s.File.Checksum.Value)
	}
	return int(binary.BigEndian.Uint32(sum))
}

// checkItems compares the items of a completed export with docs/design.md,
// "State".
func (l *local) checkItems(t *testing.T, s status, metadata map[string]string) {
	t.Helper()
	const milliseconds = "2006-01-02T15:04:05.000Z"
	items := l.items(t, "export#"+s.ExportID)
	if diff := cmp.Diff([]string{"job", "run"}, slices.Sorted(maps.Keys(items))); diff != "" {
		t.Fatalf("items of the export (-want +got):\n%s", diff)
	}
	job, run := items["job"], items["run"]
	expires := s.ExpiresAt.Format(milliseconds)
	ttl := number(s.ExpiresAt.Add(30 * 24 * time.Hour).Unix())
	want := map[string]any{
		"pk": "export#" + s.ExportID, "sk": "job", "v": number(1), "exportId": s.ExportID, "owner": "anonymous",
		"spec": `{"dataset":"users"}`, "status": "completed", "attempt": number(1), "sends": number(0), "rowOrder": "key",
		"result": map[string]any{
			"rows": number(*s.Progress.TotalRows), "bytes": number(s.File.Bytes), "uncompressedBytes": number(s.File.UncompressedBytes),
			"crc32": number(crcOf(t, s)), "key": key(s.ExportID, 1),
		},
		"asOf": s.Consistency.AsOf.Format(milliseconds), "createdAt": s.CreatedAt.Format(milliseconds),
		"startedAt": s.StartedAt.Format(milliseconds), "completedAt": s.CompletedAt.Format(milliseconds),
		"expiresAt": expires, "dueShard": "0", "dueAt": expires, "ttl": ttl,
		// Values that only the service knows.
		"token": job["token"], "datasetFingerprint": job["datasetFingerprint"], "traceparent": job["traceparent"],
	}
	if diff := cmp.Diff(want, job); diff != "" {
		t.Errorf("job item (-want +got):\n%s", diff)
	}
	if token, _ := job["token"].(string); token == "" || !slices.Contains(slices.Collect(maps.Values(metadata)), token) {
		t.Errorf("token %q isn't in the object's metadata %v", token, metadata)
	}
	if mark, _ := job["datasetFingerprint"].(string); !regexp.MustCompile(`^[0-9a-f]{16,}$`).MatchString(mark) {
		t.Errorf("datasetFingerprint %q", mark)
	}
	fields := slices.Sorted(maps.Keys(run))
	if diff := cmp.Diff([]string{"fence", "pk", "processedRows", "rowsPerSecond", "sk", "ttl"}, slices.DeleteFunc(fields, func(s string) bool { return s == "totalRows" })); diff != "" {
		t.Errorf("run item of a done export: fields (-want +got):\n%s", diff)
	}
	if run["fence"] != number(1) || run["ttl"] != ttl {
		t.Errorf("run item %v, want fence 1 and ttl %s", run, ttl)
	}
	if active := l.items(t, "owner#anonymous")["quota"]["active"]; active != number(0) {
		t.Errorf("the owner has %v active exports, want 0", active)
	}
}

// The message is a hint in a settled form. To see one, it must not be delivered.
func TestMessage(t *testing.T) {
	l, err := up(stackName("message"), "-ephemeral", "-port", "0", "-requests-only")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	id := l.create(t).ExportID
	out, err := l.Endpoints.SQSClient().ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &l.QueueURL, WaitTimeSeconds: 5, MaxNumberOfMessages: 10,
	})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("%d messages (%v), want 1", len(out.Messages), err)
	}
	form := regexp.MustCompile(`^\{"v":1,"exportId":"([0-9a-f-]{36})","traceparent":"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]"\}$`)
	if m := form.FindStringSubmatch(*out.Messages[0].Body); m == nil || m[1] != id {
		t.Errorf("message of export %s: %s", id, *out.Messages[0].Body)
	}
	if s := decodeStatus(t, l.get(t, "/exports/"+id+"/status"), 200); s.Status != "processing" || s.Phase == nil || *s.Phase != "queued" {
		t.Errorf("the export is %+v", s)
	}
}

// lockUsers keeps everybody from reading the users table until the returned
// function is called.
func (l *local) lockUsers(t *testing.T) (unlock func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), l.PSQL, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", l.DatabaseURL)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	unlock = func() {
		once.Do(func() {
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("psql: %v", err)
			}
		})
	}
	t.Cleanup(unlock)
	if _, err := io.WriteString(in, "BEGIN; LOCK TABLE users; \\echo locked\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("psql: %q (%v)", line, err)
	}
	return unlock
}

// queueDepth counts the messages of the queue, those in flight apart.
func (l *local) queueDepth(t *testing.T) map[string]string {
	t.Helper()
	return l.queueAttributes(t, l.QueueURL)
}

// depth counts the messages of a queue, those in flight as well.
func (l *local) depth(t *testing.T, queueURL string) (n int) {
	t.Helper()
	for name, text := range l.queueAttributes(t, queueURL) {
		count, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s is %q", name, text)
		}
		n += count
	}
	return n
}

func (l *local) queueAttributes(t *testing.T, queueURL string) map[string]string {
	t.Helper()
	out, err := l.Endpoints.SQSClient().GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &queueURL,
		AttributeNames: []types.QueueAttributeName{
			types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Attributes
}

// quiet waits until no function is at work: the last message that it had is
// acknowledged a moment later.
func (l *local) quiet(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, "no function is at work", func() bool {
		if l.Functions == "sam" { // its containers don't say
			return l.depth(t, l.QueueURL) == 0 && l.depth(t, l.NotifyQueueURL) == 0
		}
		processes, err := invariants.Processes(t.Context(), l.State)
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(processes, func(p invariants.Process) bool { return p.State == "busy" })
	})
}

// A message that arrives again, late, or makes no sense changes nothing.
func TestMessage_stale(t *testing.T) {
	shared.seed(t, smallRows)
	done := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
	before := shared.items(t, "export#"+done.ExportID)
	shared.quiet(t)
	depth := shared.queueDepth(t) // a killed worker's message stays out of sight until its visibility timeout
	client := shared.Endpoints.SQSClient()
	for _, body := range []string{
		`{"v":1,"exportId":"` + done.ExportID + `","traceparent":""}`,
		`{"v":1,"exportId":"01890a5d-ac96-774b-bcce-b302099a8057"}`,
		`no JSON`,
	} {
		if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &shared.QueueURL, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 30*time.Second, "every message was acknowledged", func() bool {
		now := shared.queueDepth(t)
		for name, n := range now {
			if len(n) > len(depth[name]) || len(n) == len(depth[name]) && n > depth[name] { // a number that is larger
				return false
			}
		}
		return true
	})
	if diff := cmp.Diff(before, shared.items(t, "export#"+done.ExportID)); diff != "" {
		t.Errorf("items of the export changed (-before +after):\n%s", diff)
	}
	if again := decodeStatus(t, shared.get(t, "/exports/"+done.ExportID+"/status"), 200); !cmp.Equal(done, again) {
		t.Errorf("status changed: %s", cmp.Diff(done, again))
	}
}
