package e2e

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// DELETE of an export that is done, at every stage of what becomes of one.
func TestDelete(t *testing.T) {
	shared.seed(t, smallRows)
	t.Run("completed", checkDeleteCompleted)
	t.Run("failed", checkDeleteFailed)
	t.Run("expired", checkDeleteExpired)
	t.Run("forgotten", checkDeleteForgotten)
}

// remove deletes an export, which is answered without a body.
func (l *local) remove(t *testing.T, id string) {
	t.Helper()
	if a := l.request(t, http.MethodDelete, "/exports/"+id, ""); a.status != http.StatusNoContent || len(a.body) > 0 {
		t.Fatalf("delete answers %d\n%s", a.status, a.body)
	}
}

func checkDeleteCompleted(t *testing.T) {
	done := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
	path := "/exports/" + done.ExportID
	signed := shared.get(t, path+"/download").header.Get("Location")
	if a := shared.get(t, signed); a.status != http.StatusOK {
		t.Fatalf("the file answers %d", a.status)
	}
	before := shared.items(t, "export#"+done.ExportID)

	shared.remove(t, done.ExportID)
	shared.checkNoObject(t, done.ExportID)
	deleted := decodeStatus(t, shared.get(t, path+"/status"), http.StatusOK)
	if deleted.Status != "deleted" || deleted.Error != nil || deleted.Attempts != 1 {
		t.Errorf("status %+v", deleted)
	}
	for _, accept := range []string{"*/*", "application/json"} {
		checkProblem(t, shared.get(t, path+"/download", "Accept: "+accept), http.StatusGone, "gone")
	}
	if a := shared.request(t, http.MethodHead, path+"/download", ""); a.status != http.StatusGone {
		t.Errorf("HEAD answers %d, want 410", a.status)
	}
	if a := shared.get(t, signed); a.status != http.StatusNotFound {
		t.Errorf("the URL from before answers %d, want 404\n%.300q", a.status, a.body)
	}
	if ids, _ := shared.list(t, url.Values{"status": {"deleted"}}); len(ids) == 0 || ids[0] != done.ExportID {
		t.Errorf("deleted exports are %v, want %s first", ids, done.ExportID)
	}

	items := shared.items(t, "export#"+done.ExportID)
	if diff := cmp.Diff([]string{"job", "run"}, slices.Sorted(maps.Keys(items))); diff != "" {
		t.Fatalf("items of the export (-want +got):\n%s", diff)
	}
	for sk := range items {
		if before[sk]["ttl"] == nil || items[sk]["ttl"] != before[sk]["ttl"] {
			t.Errorf("ttl of the %s item was %v and is %v", sk, before[sk]["ttl"], items[sk]["ttl"])
		}
	}
	shared.remove(t, done.ExportID)
	if diff := cmp.Diff(items, shared.items(t, "export#"+done.ExportID)); diff != "" {
		t.Errorf("the second delete changed the items (-before +after):\n%s", diff)
	}
}

// checkNoObject asserts that an export has no file any more.
func (l *local) checkNoObject(t *testing.T, id string) {
	t.Helper()
	if keys := l.keys(t, id); len(keys) > 0 {
		t.Errorf("objects of the export: %v", keys)
	}
	_, err := l.Endpoints.S3Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &l.Bucket, Key: aws.String(key(id, 1))})
	var notFound *types.NotFound
	if !errors.As(err, &notFound) {
		t.Errorf("HEAD of the object: %v, want not found", err)
	}
}

// checkUnchanged deletes an export that has no file to delete.
func (l *local) checkUnchanged(t *testing.T, s status) {
	t.Helper()
	items := l.items(t, "export#"+s.ExportID)
	for range 2 {
		l.remove(t, s.ExportID)
	}
	if diff := cmp.Diff(items, l.items(t, "export#"+s.ExportID)); diff != "" {
		t.Errorf("delete changed the items (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(s, decodeStatus(t, l.get(t, "/exports/"+s.ExportID+"/status"), http.StatusOK)); diff != "" {
		t.Errorf("delete changed the status (-before +after):\n%s", diff)
	}
}

// checkDeleteFailed makes an export fail by taking a column away.
func checkDeleteFailed(t *testing.T) {
	shared.psql(t, "ALTER TABLE users RENAME COLUMN email TO mail")
	defer shared.psql(t, "ALTER TABLE users RENAME COLUMN mail TO email")
	failed := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
	if failed.Status != "failed" || aws.ToString(failed.Error) == "" || aws.ToString(failed.ErrorCode) == "" {
		t.Fatalf("status %+v, want failed, and why", failed)
	}
	checkProblem(t, shared.get(t, "/exports/"+failed.ExportID+"/download"), http.StatusConflict, "export_failed")
	shared.checkUnchanged(t, failed)
}

// checkDeleteExpired has the sweeper expire an export's file.
func checkDeleteExpired(t *testing.T) {
	id := shared.follow(t, shared.create(t).ExportID, time.Minute, nil).ExportID
	past := &dynamo.AttributeValueMemberS{Value: "2024-01-01T00:00:00.000Z"}
	shared.setItem(t, id, "job", past, "expiresAt", "dueAt")
	checkProblem(t, shared.get(t, "/exports/"+id+"/download"), http.StatusGone, "gone")
	shared.sweep(t)
	expired := decodeStatus(t, shared.get(t, "/exports/"+id+"/status"), http.StatusOK)
	if expired.Status != "expired" {
		t.Fatalf("status %+v, want expired", expired)
	}
	shared.checkNoObject(t, id)
	shared.checkUnchanged(t, expired)
}

// sweep has the sweeper do now what its schedule would within a minute.
func (l *local) sweep(t *testing.T) {
	t.Helper()
	address := l.Endpoints.Lambda + "/2015-03-31/functions/SweepFunction/invocations"
	if a := l.request(t, http.MethodPost, address, "{}"); a.status != http.StatusOK || a.header.Get("X-Amz-Function-Error") != "" {
		t.Fatalf("sweep answers %d\n%s", a.status, a.body)
	}
}

// checkDeleteForgotten has the record of an export reach its end; DynamoDB
// takes its time with removing it.
func checkDeleteForgotten(t *testing.T) {
	id := shared.follow(t, shared.create(t).ExportID, time.Minute, nil).ExportID
	past := &dynamo.AttributeValueMemberN{Value: "1704067200"}
	for _, sk := range []string{"job", "run"} {
		shared.setItem(t, id, sk, past, "ttl")
	}
	checkProblem(t, shared.get(t, "/exports/"+id+"/status"), http.StatusNotFound, "not_found")
	checkProblem(t, shared.get(t, "/exports/"+id+"/download"), http.StatusNotFound, "not_found")
	checkProblem(t, shared.request(t, http.MethodDelete, "/exports/"+id, ""), http.StatusNotFound, "not_found")
	if ids := shared.walk(t, url.Values{"pageSize": {"100"}}, 100, nil); slices.Contains(ids, id) {
		t.Error("the list still has it")
	}
	shared.deleteItems(t, id) // other tests look at what is in the table
}

// setItem gives attributes of an export's item a value that the service
// itself would not.
func (l *local) setItem(t *testing.T, id, sk string, value dynamo.AttributeValue, attributes ...string) {
	t.Helper()
	names, terms := map[string]string{}, []string{}
	for _, a := range attributes {
		names["#"+a] = a
		terms = append(terms, "#"+a+" = :value")
	}
	_, err := l.Endpoints.DynamoDBClient().UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &l.Table, Key: itemKey(id, sk), UpdateExpression: aws.String("SET " + strings.Join(terms, ", ")),
		ExpressionAttributeNames: names, ExpressionAttributeValues: map[string]dynamo.AttributeValue{":value": value},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (l *local) deleteItems(t *testing.T, id string) {
	t.Helper()
	for _, sk := range []string{"job", "run"} {
		in := &dynamodb.DeleteItemInput{TableName: &l.Table, Key: itemKey(id, sk)}
		if _, err := l.Endpoints.DynamoDBClient().DeleteItem(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

func itemKey(id, sk string) map[string]dynamo.AttributeValue {
	return map[string]dynamo.AttributeValue{
		"pk": &dynamo.AttributeValueMemberS{Value: "export#" + id}, "sk": &dynamo.AttributeValueMemberS{Value: sk},
	}
}
