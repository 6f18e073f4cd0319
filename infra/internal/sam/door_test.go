package sam

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"csvexport/infra/internal/localaws"
)

// emulator answers any request as a service does that refuses it, and notes
// the Host that was signed.
func emulator(t *testing.T, name string) (url string, hosts *[]string) {
	t.Helper()
	hosts = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*hosts = append(*hosts, r.Host)
		w.Header().Set("X-Emulator", name)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	return server.URL, hosts
}

func open(t *testing.T, endpoints localaws.Endpoints) *door {
	t.Helper()
	d, err := openDoor("127.0.0.1", "localhost", endpoints)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDoor(t *testing.T) {
	var e localaws.Endpoints
	hosts := map[string]*[]string{}
	for name, endpoint := range map[string]*string{"s3": &e.S3, "sqs": &e.SQS, "dynamodb": &e.DynamoDB, "events": &e.Events, "sts": &e.STS} {
		*endpoint, hosts[name] = emulator(t, name)
	}
	d := open(t, e)
	// The SDK's own clients, all with one endpoint, as a function in a container has them.
	one := localaws.Endpoints{S3: d.URL, SQS: d.URL, DynamoDB: d.URL}
	ctx := t.Context()
	calls := map[string]func(context.Context) error{
		"s3": func(ctx context.Context) error {
			_, err := one.S3Client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
			return err
		},
		"sqs": func(ctx context.Context) error {
			_, err := one.SQSClient().SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(d.URL + "/q"), MessageBody: aws.String("m")})
			return err
		},
		"dynamodb": func(ctx context.Context) error {
			_, err := one.DynamoDBClient().ListTables(ctx, &dynamodb.ListTablesInput{})
			return err
		},
	}
	for name, call := range calls {
		if err := call(ctx); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: error %v, want the emulator's 403", name, err)
		}
		if got := *hosts[name]; len(got) != 1 || !strings.HasPrefix(got[0], "localhost:") {
			t.Errorf("%s was asked with the hosts %v, want the signed one", name, got)
		}
	}
	presigned, err := s3.NewPresignClient(one.S3Client()).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{presigned.URL: "s3", d.URL + "/": ""} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("X-Emulator"); got != want || want == "" && resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s of %q %s, want %q", url, resp.Status, got, body, want)
		}
	}
}

func TestService(t *testing.T) {
	for credential, want := range map[string]string{
		"AKID/20261128/us-east-1/s3/aws4_request":       "s3",
		"A/K/20261128/eu-central-1/events/aws4_request": "events",
		"AKID":  "",
		"a/b/c": "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+credential+", SignedHeaders=host, Signature=0")
		if got := service(r); got != want {
			t.Errorf("%s: %q, want %q", credential, got, want)
		}
	}
}

func TestOpenDatabase(t *testing.T) {
	s := &Sam{HostAddress: "127.0.0.1"}
	t.Cleanup(func() {
		if s.database != nil {
			s.database.Close()
		}
	})
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	got, err := s.openDatabase("postgres://u:p%40@" + strings.TrimPrefix(server.URL, "http://") + "/db?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(got, "postgres://u:p%%40@host.docker.internal:%d/db?sslmode=disable", &port); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatalf("the way to the database: %v", err)
	}
	_ = resp.Body.Close()
	const elsewhere = "postgres://u:p@db.example:5433/db"
	if got, err := s.openDatabase(elsewhere); err != nil || got != elsewhere {
		t.Errorf("%s (%v), want what was given", got, err)
	}
	if _, err := s.openDatabase("postgres://u:secret@[::1/db"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want one without the password", err)
	}
}

func TestOverrides(t *testing.T) {
	processor := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	got := overrides(map[string]string{"B": `x "y" \z`, "A": "1,2&3=4", "Architecture": "mips"})
	if len(got) != 2 || got[0] != "--parameter-overrides" || got[1] != `A="1,2&3=4" Architecture=`+processor+` B="x \"y\" \\z"` {
		t.Errorf("%q", got)
	}
	if got := overrides(nil); len(got) != 2 || got[1] != "Architecture="+processor {
		t.Errorf("%q", got)
	}
}
