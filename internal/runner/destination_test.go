package runner_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// deliver has the runner know the users and a destination, and creates an
// export that goes there.
func (f *fixture) deliver(t *testing.T, to, role string, maxRows int64) export.Export {
	t.Helper()
	text, err := os.ReadFile("../dataset/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	id := servertest.ExternalID
	f.Catalog, err = dataset.Parse("f.yaml", append(text, fmt.Appendf(nil, "\ndestinations: [{name: finance, bucket: %s, prefix: csv/, role: %q, externalId: %s}]\n", to, role, id)...))
	if err != nil {
		t.Fatal(err)
	}
	r := dataset.Request{Dataset: "users", Destination: &dataset.GivenDestination{Name: "finance", Prefix: "2026/11"}}
	if maxRows > 0 {
		r.MaxRowsPerFile = &maxRows
	}
	spec, err := f.Catalog.Spec(r, dataset.Access{})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := f.Catalog.Find("users")
	now := time.Now()
	e := export.Export{
		ID: uuid.Must(uuid.NewV7()).String(), Owner: "anonymous", Spec: spec, Token: uuid.NewString(), Traceparent: trace,
		DatasetFingerprint: d.Fingerprint(), Status: export.Processing, Phase: export.Queued, CreatedAt: now, DueAt: now.Add(time.Minute),
	}
	if err := f.Jobs.Create(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// contents are the objects of a bucket by their keys.
func contents(t *testing.T, name string) map[string]string {
	t.Helper()
	client := servertest.S3(t)
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &name})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, o := range list.Contents {
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		found[*o.Key] = out.Metadata["export-token"] + "\n" + string(text)
	}
	return found
}

// unpack returns what is in a file of contents that has e's token.
func unpack(t *testing.T, e export.Export, file string) string {
	t.Helper()
	packed, ours := strings.CutPrefix(file, e.Token+"\n")
	if !ours {
		t.Fatal("the object is missing, or hasn't the export's token")
	}
	r, err := gzip.NewReader(bytes.NewReader([]byte(packed)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// An export for a destination is there, byte for byte, and nowhere else.
func TestRunner_destination(t *testing.T) {
	url, to := servertest.Database(t), servertest.Bucket(t)
	servertest.Users(t, url, 200_000)
	f := newFixture(t, url)
	e := f.run(t, f.deliver(t, to, servertest.Role, 0).ID)
	if e.Status != export.Completed || !e.ExpiresAt.IsZero() || !e.DueAt.IsZero() || e.StatusAt(time.Now().Add(1000*time.Hour)) != export.Completed {
		t.Fatalf("export %+v", e)
	}
	there := contents(t, to)
	if want := "csv/2026/11/" + e.ID + "/1.csv.gz"; len(there) != 1 || e.Location() != "s3://"+to+"/"+want {
		t.Errorf("%d objects, and the location %s, want %s", len(there), e.Location(), want)
	}
	if unpack(t, e, there[e.Result.Key]) != servertest.PSQL(t, url, copyUsers) {
		t.Error("the file differs from psql's")
	}
	f.wantNothingLeft(t, e, 0)
}

func TestRunner_destinationSplit(t *testing.T) {
	url, to := servertest.Database(t), servertest.Bucket(t)
	servertest.Users(t, url, 250)
	f := newFixture(t, url)
	e := f.run(t, f.deliver(t, to, servertest.Role, 100).ID)
	there, prefix := contents(t, to), "csv/2026/11/"+e.ID+"/1"
	if e.Status != export.Completed || len(there) != 4 {
		t.Fatalf("export %+v, %d objects", e, len(there))
	}
	manifest, ours := strings.CutPrefix(there[prefix+".json"], e.Token+"\n")
	var m export.Manifest
	if err := json.Unmarshal([]byte(manifest), &m); err != nil || !ours || len(m.Files) != 3 {
		t.Errorf("manifest %s (%v)", manifest, err)
	}
	for n, where := range []string{"id <= 100", "id BETWEEN 101 AND 200", "id > 200"} {
		want := servertest.PSQL(t, url, `COPY (SELECT * FROM users WHERE `+where+` ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`)
		if unpack(t, e, there[fmt.Sprintf("%s/%05d.csv.gz", prefix, n+1)]) != want {
			t.Errorf("file %d differs from psql's", n+1)
		}
	}
	f.wantNothingLeft(t, e, 0)
}

// A destination that can't be written to fails the export at once, before any
// row is read.
func TestRunner_destinationRefused(t *testing.T) {
	for name, test := range map[string]struct{ bucket, role, says string }{
		"role":   {"", servertest.ForeignRole, "The service may not use the role of the destination finance."},
		"bucket": {"nobody-has-this-bucket", servertest.Role, "The bucket of the destination finance doesn't exist."},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "postgres://nobody@127.0.0.1:1/x")
			if test.bucket == "" {
				test.bucket = servertest.Bucket(t)
			}
			e := f.run(t, f.deliver(t, test.bucket, test.role, 0).ID)
			if e.Status != export.Failed || e.Attempt != 1 {
				t.Fatalf("export %+v", e)
			}
			if diff := cmp.Diff(export.Failure{Code: export.StorageRejected, Message: test.says}, *e.Failure); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("defined anew", func(t *testing.T) {
		f := newFixture(t, "postgres://nobody@127.0.0.1:1/x")
		e := f.deliver(t, servertest.Bucket(t), servertest.Role, 0)
		f.deliver(t, servertest.Bucket(t), servertest.Role, 0)
		if e = f.run(t, e.ID); e.Status != export.Failed || e.Failure.Code != export.DatasetChanged || !strings.Contains(e.Failure.Message, "destination finance") {
			t.Errorf("status %s, failure %+v", e.Status, e.Failure)
		}
	})
}

// A worker that died while it wrote there costs an attempt, and leaves nothing
// once the next one is done.
func TestRunner_destinationKilled(t *testing.T) {
	url, to := servertest.Database(t), servertest.Bucket(t)
	servertest.Users(t, url, 1000)
	f := newFixture(t, url)
	e := f.deliver(t, to, servertest.Role, 0)
	dead, err := f.Jobs.Claim(t.Context(), e, "dead", time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	u := f.Buckets.For(dead).NewUpload(t.Context(), bucket.Object{Key: dead.Key(1), Token: e.Token}, func(context.Context, string) error { return nil })
	if _, err := u.Write(make([]byte, 2*bucket.MinPartSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Seal(); err != nil {
		t.Fatal(err)
	}
	if open, err := f.Buckets.For(e).OpenUploads(t.Context(), e.KeyPrefix()); err != nil || len(open) != 1 {
		t.Fatalf("open uploads %v (%v), want the dead worker's", open, err)
	}
	e = f.run(t, e.ID)
	there := contents(t, to)
	if e.Status != export.Completed || e.Attempt != 2 || len(there) != 1 || unpack(t, e, there[e.Key(2)]) != servertest.PSQL(t, url, copyUsers) {
		t.Fatalf("export %+v, %d objects", e, len(there))
	}
	if e.DueAt.IsZero() {
		t.Error("no sweep will look for what the first attempt left")
	}
	f.wantNothingLeft(t, e, 0)
}

// A cancel leaves nothing there, in one file or in several.
func TestRunner_destinationCancelled(t *testing.T) {
	for name, maxRows := range map[string]int64{"one file": 0, "split": 100} {
		t.Run(name, func(t *testing.T) {
			url, to := servertest.Database(t), servertest.Bucket(t)
			servertest.Users(t, url, 20_000)
			servertest.PSQL(t, url, `ALTER TABLE users RENAME TO fast;
				CREATE FUNCTION slowly(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN $1; END';
				CREATE VIEW users AS SELECT id, slowly(name) AS name, email, signup_date, country_code, subscription_tier, lifetime_value FROM fast;
				DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_sort = off', current_database()); END $$`)
			f := newFixture(t, url)
			e := f.deliver(t, to, servertest.Role, maxRows)
			var background sync.WaitGroup
			defer background.Wait()
			stopped := f.start(t, &background, e.ID)
			waitFor(t, func() bool {
				return f.get(t, e.ID).Progress.ProcessedRows > 0 && (maxRows == 0 || len(contents(t, to)) > 0)
			})
			if err := f.Jobs.Cancel(t.Context(), f.get(t, e.ID), time.Now(), time.Hour); err != nil {
				t.Fatal(err)
			}
			<-stopped
			if got := f.get(t, e.ID); got.Status != export.Cancelled || len(contents(t, to)) > 0 {
				t.Errorf("status %s, %d objects there", got.Status, len(contents(t, to)))
			}
			f.wantNothingLeft(t, e, 0)
		})
	}
}
