package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/invariants"
	"csvexport/infra/internal/localaws"
)

// theirs is the bucket of somebody else's that files go to.
const theirs = localaws.DeliveryBucket

const deliveringDatasets = `
datasets:
  - name: users
    relation: public.users
    key: [id]
    columns: [id, name, email, signup_date, country_code, subscription_tier, lifetime_value]
destinations:
  - name: finance
    description: What finance reads.
    bucket: ` + theirs + `
    prefix: csv/
    role: arn:aws:iam::000000000000:role/external-id/ours/delivery
    externalId: ours
    requires: deliver
  - {name: mistrustful, bucket: ` + theirs + `, role: "arn:aws:iam::000000000000:role/external-id/other/delivery", externalId: ours}
  - {name: missing, bucket: nobody-has-this-bucket}
`

// delivering is a stack that knows destinations.
func delivering(t *testing.T) guarded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "datasets.yaml")
	writeFile(t, file, deliveringDatasets)
	return newGuarded(t, "Datasets="+file, "DeliveryRoles=arn:aws:iam::000000000000:role/external-id/ours/delivery")
}

// in are the objects of a bucket by their keys.
func (l *local) in(t *testing.T, bucket string) map[string][]byte {
	t.Helper()
	client := l.Endpoints.S3Client()
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, o := range list.Contents {
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		if out.Metadata["export-token"] == "" {
			t.Errorf("object %s has no token", *o.Key)
		}
		found[*o.Key] = text
	}
	return found
}

func (l *local) checkInvariants(t *testing.T, within time.Duration, ids ...string) {
	t.Helper()
	found, err := invariants.Check{State: l.State, Exports: ids}.Settled(t.Context(), within)
	if err != nil || len(found) > 0 {
		t.Errorf("what must not be so (%v):\n%s", err, strings.Join(found, "\n"))
	}
}

// A caller may have the file put into his own bucket. It is there, and nowhere
// else, and his.
func TestDestinations(t *testing.T) {
	g := delivering(t)
	g.seed(t, smallRows)
	anna, bert := g.as(t, "anna", map[string]any{"scope": "deliver"}), g.as(t, "bert", nil)
	t.Run("refused", func(t *testing.T) { checkDestinationRefused(t, anna, bert) })
	t.Run("one file", func(t *testing.T) { checkDelivered(t, anna) })
	t.Run("split", func(t *testing.T) { checkDeliveredSplit(t, anna) })
	for name, says := range map[string]string{
		"mistrustful": "The service may not use the role of the destination mistrustful.",
		"missing":     "The bucket of the destination missing doesn't exist.",
	} {
		t.Run(name, func(t *testing.T) { checkUndeliverable(t, bert, name, says) })
	}
}

func checkDestinationRefused(t *testing.T, anna, bert *local) {
	for who, want := range map[*local]string{anna: "finance mistrustful missing", bert: "mistrustful missing"} {
		var answer struct {
			Datasets     []any
			Destinations []struct{ Name, Description string }
		}
		who.get(t, "/datasets").decode(t, http.StatusOK, "application/json", &answer)
		var names []string
		for _, d := range answer.Destinations {
			names = append(names, d.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("destinations %s, want %s", got, want)
		}
	}
	checkProblem(t, bert.request(t, http.MethodPost, "/exports/csv", `{"destination":{"name":"finance"}}`), http.StatusForbidden, "forbidden")
	checkDatasetProblems(t, anna, `{"destination":{"name":"nope","prefix":"/x"}}`, "destination.name destination.prefix")
	checkDatasetProblems(t, anna, `{"destination":{"name":"finance","prefix":"a/../b"}}`, "destination.prefix")
	for _, who := range []*local{anna, bert} {
		if ids := who.walk(t, url.Values{}, 100, nil); len(ids) > 0 {
			t.Errorf("exports %v, want none", ids)
		}
	}
}

func checkDelivered(t *testing.T, l *local) {
	id := l.createWith(t, `{"destination":{"name":"finance","prefix":"2026/11"}}`)
	done := l.follow(t, id, time.Minute, nil)
	key := "csv/2026/11/" + id + "/1.csv.gz"
	if done.Status != "completed" || done.ExpiresAt != nil || aws.ToString(done.File.Location) != "s3://"+theirs+"/"+key {
		t.Fatalf("%+v %+v", done, done.File)
	}
	if diff := cmp.Diff(&askedLocation{"finance", aws.String("2026/11/")}, done.Request.Destination); diff != "" {
		t.Errorf("request.destination (-want +got):\n%s", diff)
	}
	want, there := l.psql(t, reference), l.in(t, theirs)
	if len(there) != 1 || !bytes.Equal(gunzip(t, there[key]), want) {
		t.Errorf("%d objects; the one of the export isn't psql's COPY", len(there))
	}
	if here := l.in(t, l.Bucket); len(here) > 0 {
		t.Errorf("%d objects in the service's own bucket", len(here))
	}
	if got := l.download(t, id); !bytes.Equal(got, want) {
		t.Error("the download isn't psql's COPY")
	}
	if a := l.request(t, http.MethodHead, "/exports/"+id+"/download", ""); a.status != http.StatusOK {
		t.Errorf("HEAD answers %d", a.status)
	}
	if ids := l.walk(t, url.Values{"status": {"completed"}}, 100, nil); len(ids) != 1 || ids[0] != id {
		t.Errorf("completed are %v, want it", ids)
	}
	l.checkInvariants(t, 10*time.Second, id) // somebody has to be told first
	if a := l.request(t, http.MethodDelete, "/exports/"+id, ""); a.status != http.StatusNoContent {
		t.Fatalf("DELETE answers %d\n%s", a.status, a.body)
	}
	if left := l.in(t, theirs); len(left) > 0 {
		t.Errorf("%d objects are left there", len(left))
	}
	checkProblem(t, l.get(t, "/exports/"+id+"/download"), http.StatusGone, "gone")
}

func checkDeliveredSplit(t *testing.T, l *local) {
	const rows = smallRows/2 + 1
	id := l.createWith(t, `{"maxRowsPerFile":`+strconv.Itoa(rows)+`,"destination":{"name":"finance"}}`)
	done := l.follow(t, id, time.Minute, nil)
	there := l.in(t, theirs)
	if done.Status != "completed" || len(there) != 3 || aws.ToString(done.File.Location) != "s3://"+theirs+"/csv/"+id+"/1.json" {
		t.Fatalf("%+v, %d objects", done, len(there))
	}
	first := l.psql(t, "COPY (SELECT * FROM users ORDER BY id LIMIT "+strconv.Itoa(rows)+") TO STDOUT (FORMAT csv, HEADER)")
	if !bytes.Equal(gunzip(t, there["csv/"+id+"/1/00001.csv.gz"]), first) {
		t.Error("the first file isn't psql's COPY")
	}
	l.checkInvariants(t, 10*time.Second, id)
	if a := l.request(t, http.MethodDelete, "/exports/"+id, ""); a.status != http.StatusNoContent || len(l.in(t, theirs)) > 0 {
		t.Errorf("DELETE answers %d, %d objects are left", a.status, len(l.in(t, theirs)))
	}
}

// checkUndeliverable has an export fail at once in a destination that is wrong,
// while another goes on, and again when it is retried.
func checkUndeliverable(t *testing.T, l *local, name, says string) {
	id, other := l.createWith(t, `{"destination":{"name":"`+name+`"}}`), l.create(t).ExportID
	failed := func(id string) {
		t.Helper()
		s := l.follow(t, id, time.Minute, nil)
		if s.Status != "failed" || aws.ToString(s.ErrorCode) != "storage_rejected" || aws.ToString(s.Error) != says || s.Attempts != 1 {
			t.Errorf("status %s, %s: %s in attempt %d", s.Status, aws.ToString(s.ErrorCode), aws.ToString(s.Error), s.Attempts)
		}
	}
	failed(id)
	if s := l.follow(t, other, time.Minute, nil); s.Status != "completed" {
		t.Errorf("the other export is %s", s.Status)
	}
	again := decodeStatus(t, l.request(t, http.MethodPost, "/exports/"+id+"/retry", ""), http.StatusAccepted)
	failed(again.ExportID)
	l.sweep(t)
}

// A worker that dies while it writes to a destination costs its attempt, and
// leaves nothing in either bucket.
func TestDestinations_workerKilled(t *testing.T) {
	g := delivering(t)
	g.seed(t, largeRows)
	anna := g.as(t, "anna", map[string]any{"scope": "deliver"})
	id := anna.createWith(t, `{"destination":{"name":"finance"}}`)
	client := g.Endpoints.S3Client()
	eventually(t, time.Minute, "the first part is up", func() bool {
		open, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(theirs)})
		if err != nil || len(open.Uploads) == 0 {
			return false
		}
		parts, err := client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(theirs), Key: open.Uploads[0].Key, UploadId: open.Uploads[0].UploadId})
		return err == nil && len(parts.Parts) > 0
	})
	if err := syscall.Kill(g.worker(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	swept := time.Now()
	done := anna.follow(t, id, 2*time.Minute, func(status) { // TestExport_workerKilled waits for the schedule's own sweep
		if time.Since(swept) > 5*time.Second {
			swept = time.Now()
			g.sweep(t)
		}
	})
	if done.Status != "completed" || done.Attempts != 2 {
		t.Fatalf("%+v", done)
	}
	there := anna.in(t, theirs)
	if len(there) != 1 || !bytes.Equal(gunzip(t, there["csv/"+id+"/2.csv.gz"]), anna.psql(t, reference)) {
		t.Errorf("%d objects; the one of the export isn't psql's COPY", len(there))
	}
	if here := anna.in(t, anna.Bucket); len(here) > 0 {
		t.Errorf("%d objects in the service's own bucket", len(here))
	}
	anna.checkInvariants(t, 90*time.Second, id)
}
