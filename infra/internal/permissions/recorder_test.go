package permissions_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/permissions"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a recorder before a server that answers each request with the
// status that the header Want names, or 200.
type fixture struct {
	*permissions.Recorder
	folder    string
	endpoints localaws.Endpoints
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Header.Get("Want") {
		case "403":
			w.WriteHeader(http.StatusForbidden)
		case "404":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	f := &fixture{folder: filepath.Join(t.TempDir(), "calls")}
	var err error
	if f.Recorder, err = permissions.NewRecorder(f.folder, projectTemplate, "s", map[string]string{"EventBusName": "bus"}); err != nil {
		t.Fatal(err)
	}
	f.endpoints, err = f.Intercept(localaws.Endpoints{S3: server.URL, SQS: server.URL, DynamoDB: server.URL, Events: server.URL, STS: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// call sends a request as a function's SDK does.
func call(t *testing.T, method, address, body string, header ...string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.47.7 os/linux app/run-export api/x")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261128/us-east-1/x/aws4_request, SignedHeaders=host, Signature=0")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// recorded ends the recorder and returns what it wrote.
func (f *fixture) recorded(t *testing.T) permissions.Recording {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := permissions.Read(f.folder)
	if err != nil || len(all) != 1 || all[0].Stack != "s" || all[0].Parameters["EventBusName"] != "bus" {
		t.Fatalf("read %+v, %v", all, err)
	}
	return all[0]
}

const (
	table = "arn:aws:dynamodb:us-east-1:000000000000:table/s-Table"
	queue = "arn:aws:sqs:us-east-1:000000000000:s-Queue"
)

func TestRecorder(t *testing.T) {
	const target = "X-Amz-Target: "
	tests := map[string]struct {
		service func(localaws.Endpoints) string
		method  string
		path    string
		body    string
		header  []string
		want    []string // action, resource, and keys
	}{
		"PutObject":              {s3, "PUT", "/b/exports/o/1.gz", "x", nil, []string{"s3:PutObject arn:aws:s3:::b/exports/o/1.gz"}},
		"PutObject with tags":    {s3, "PUT", "/b/k", "x", []string{"X-Amz-Tagging: a=b"}, []string{"s3:PutObject arn:aws:s3:::b/k", "s3:PutObjectTagging arn:aws:s3:::b/k"}},
		"PutObject over another": {s3, "PUT", "/b/k", "x", []string{"If-Match: e"}, []string{"s3:PutObject arn:aws:s3:::b/k", "s3:GetObject arn:aws:s3:::b/k"}},
		"PutObject, new only":    {s3, "PUT", "/b/k", "x", []string{"If-None-Match: *"}, []string{"s3:PutObject arn:aws:s3:::b/k"}},
		"UploadPart":             {s3, "PUT", "/b/k?partNumber=1&uploadId=u", "x", nil, []string{"s3:PutObject arn:aws:s3:::b/k"}},
		"CreateMultipartUpload":  {s3, "POST", "/b/k?uploads", "", nil, []string{"s3:PutObject arn:aws:s3:::b/k"}},
		"Complete":               {s3, "POST", "/b/k?uploadId=u", "x", nil, []string{"s3:PutObject arn:aws:s3:::b/k"}},
		"Abort":                  {s3, "DELETE", "/b/k?uploadId=u", "", nil, []string{"s3:AbortMultipartUpload arn:aws:s3:::b/k"}},
		"ListParts":              {s3, "GET", "/b/k?uploadId=u", "", nil, []string{"s3:ListMultipartUploadParts arn:aws:s3:::b/k"}},
		"ListMultipartUploads":   {s3, "GET", "/b?uploads&prefix=exports%2Fo", "", nil, []string{"s3:ListBucketMultipartUploads arn:aws:s3:::b"}},
		"ListObjectsV2":          {s3, "GET", "/b?list-type=2", "", nil, []string{"s3:ListBucket arn:aws:s3:::b"}},
		"HeadBucket":             {s3, "HEAD", "/b", "", nil, []string{"s3:ListBucket arn:aws:s3:::b"}},
		"HeadObject":             {s3, "HEAD", "/b/k", "", nil, []string{"s3:GetObject arn:aws:s3:::b/k"}},
		"HeadObject, 404":        {s3, "HEAD", "/b/k", "", []string{"Want: 404"}, []string{"s3:GetObject arn:aws:s3:::b/k", "s3:ListBucket arn:aws:s3:::b"}},
		"GetObject's version":    {s3, "GET", "/b/k?versionId=3", "", nil, []string{"s3:GetObjectVersion arn:aws:s3:::b/k"}},
		"DeleteObject":           {s3, "DELETE", "/b/k", "", nil, []string{"s3:DeleteObject arn:aws:s3:::b/k"}},
		"DeleteObjects": {
			s3, "POST", "/b?delete", `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>k/1</Key></Object><Object><Key>k/2</Key><VersionId>3</VersionId></Object><Quiet>true</Quiet></Delete>`, nil,
			[]string{"s3:DeleteObject arn:aws:s3:::b/k/1", "s3:DeleteObjectVersion arn:aws:s3:::b/k/2"},
		},
		"GetBucketAcl":     {s3, "GET", "/b?acl", "", nil, []string{"unknown:s3:GET arn:aws:s3:::b/"}},
		"SendMessage":      {sqs, "POST", "/", `{"QueueUrl":"http://q/000000000000/s-Queue"}`, []string{target + "AmazonSQS.SendMessage"}, []string{"sqs:SendMessage " + queue}},
		"SendMessageBatch": {sqs, "POST", "/", `{"QueueUrl":"http://q/000000000000/s-Queue"}`, []string{target + "AmazonSQS.SendMessageBatch"}, []string{"sqs:SendMessage " + queue}},
		"PutEvents": {
			events, "POST", "/", `{"Entries":[{"EventBusName":"bus","Source":"csvexport"},{"Source":"x"}]}`,
			[]string{target + "AWSEvents.PutEvents"},
			[]string{"events:PutEvents arn:aws:events:us-east-1:000000000000:event-bus/bus events:source=csvexport", "events:PutEvents arn:aws:events:us-east-1:000000000000:event-bus/default events:source=x"},
		},
		"AssumeRole":          {sts, "POST", "/", "Action=AssumeRole&RoleArn=arn:aws:iam::1:role/r", nil, []string{"sts:AssumeRole arn:aws:iam::1:role/r"}},
		"AssumeRole, refused": {sts, "POST", "/", "Action=AssumeRole&RoleArn=arn:aws:iam::1:role/r", []string{"Want: 403"}, nil},
		"GetItem": {
			dynamo, "POST", "/", `{"TableName":"s-Table","Key":{"pk":{"S":"ping"},"sk":{"S":"x"}}}`,
			[]string{target + "DynamoDB_20120810.GetItem"},
			[]string{"dynamodb:GetItem " + table + " dynamodb:LeadingKeys=ping"},
		},
		"Query of an index": {
			dynamo, "POST", "/", `{"TableName":"s-Table","IndexName":"by-owner"}`,
			[]string{target + "DynamoDB_20120810.Query"},
			[]string{"dynamodb:Query " + table + "/index/by-owner"},
		},
		"BatchGetItem": {
			dynamo, "POST", "/", `{"RequestItems":{"s-Table":{"Keys":[{"pk":{"S":"a"}},{"pk":{"S":"b"}}]}}}`,
			[]string{target + "DynamoDB_20120810.BatchGetItem"},
			[]string{"dynamodb:BatchGetItem " + table + " dynamodb:LeadingKeys=a,b"},
		},
		"TransactWriteItems": {
			dynamo, "POST", "/", `{"TransactItems":[{"Put":{"TableName":"s-Table","Item":{"pk":{"S":"a"}}}},{"Update":{"TableName":"s-Table","Key":{"pk":{"S":"b"}}}},
				{"Delete":{"TableName":"s-Table","Key":{"pk":{"S":"c"}}}},{"ConditionCheck":{"TableName":"s-Table","Key":{"pk":{"S":"d"}}}}]}`,
			[]string{target + "DynamoDB_20120810.TransactWriteItems"},
			[]string{
				"dynamodb:PutItem " + table + " dynamodb:LeadingKeys=a", "dynamodb:UpdateItem " + table + " dynamodb:LeadingKeys=b",
				"dynamodb:DeleteItem " + table + " dynamodb:LeadingKeys=c", "dynamodb:ConditionCheckItem " + table + " dynamodb:LeadingKeys=d",
			},
		},
		"TransactGetItems": {
			dynamo, "POST", "/", `{"TransactItems":[{"Get":{"TableName":"s-Table","Key":{"pk":{"S":"a"}}}}]}`,
			[]string{target + "DynamoDB_20120810.TransactGetItems"},
			[]string{"dynamodb:GetItem " + table + " dynamodb:LeadingKeys=a"},
		},
		"ListTables": {dynamo, "POST", "/", `{}`, []string{target + "DynamoDB_20120810.ListTables"}, []string{"unknown:dynamodb:ListTables "}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			call(t, tt.method, tt.service(f.endpoints)+tt.path, tt.body, tt.header...)
			var got []string
			for _, c := range f.recorded(t).Calls {
				if c.Function != "run-export" || c.Session {
					t.Errorf("by %q, session %v", c.Function, c.Session)
				}
				text := c.Action + " " + c.Resource
				for key, values := range c.Keys {
					text += " " + key + "=" + strings.Join(values, ",")
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func s3(e localaws.Endpoints) string     { return e.S3 }
func sqs(e localaws.Endpoints) string    { return e.SQS }
func events(e localaws.Endpoints) string { return e.Events }
func sts(e localaws.Endpoints) string    { return e.STS }
func dynamo(e localaws.Endpoints) string { return e.DynamoDB }

// Who calls is told by the user agent, and whose rights count by the key.
func TestRecorder_caller(t *testing.T) {
	f := newFixture(t)
	call(t, http.MethodHead, f.endpoints.S3+"/b", "", "User-Agent: curl/8", "Authorization: AWS4-HMAC-SHA256 Credential=ASIAX/20261128/us-east-1/s3/aws4_request, Signature=0")
	call(t, http.MethodHead, f.endpoints.S3+"/b", "", "Authorization: none")
	want := []permissions.Call{
		{Action: "s3:ListBucket", Resource: "arn:aws:s3:::b", Session: true},
		{Function: "run-export", Action: "s3:ListBucket", Resource: "arn:aws:s3:::b"},
	}
	if diff := cmp.Diff(want, f.recorded(t).Calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// An abort comes after the parts that its caller has given up, as it does where
// no proxy is in between.
func TestRecorder_abortLast(t *testing.T) {
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPut {
			close(arrived)
			time.Sleep(200 * time.Millisecond) // what a busy server may take
		}
		note(r.Method)
	}))
	t.Cleanup(server.Close)
	f := newFixture(t)
	endpoints, err := f.Intercept(localaws.Endpoints{S3: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	part, err := http.NewRequestWithContext(ctx, http.MethodPut, endpoints.S3+"/b/k?partNumber=1&uploadId=u", strings.NewReader("part"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-arrived
		giveUp()
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if _, err := client.Do(part); !errors.Is(err, context.Canceled) {
		t.Fatalf("the part: %v", err)
	}
	call(t, http.MethodDelete, endpoints.S3+"/b/k?uploadId=u", "")
	f.recorded(t)
	if diff := cmp.Diff([]string{"PUT", "DELETE"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// What a stack that is killed was writing is not read; what was written is,
// before the end.
func TestRead_killed(t *testing.T) {
	f := newFixture(t)
	call(t, http.MethodHead, f.endpoints.S3+"/b", "")
	files, err := filepath.Glob(filepath.Join(f.folder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0]+".calls", append(text, `{"function":"run-ex`...), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := permissions.Read(f.folder)
	if err != nil || len(all) != 2 || len(all[0].Calls) != 1 || len(all[1].Calls) != 1 {
		t.Errorf("read %+v, %v", all, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
