package jobs

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/internal/export"
)

// The items of the table, all under pk and sk; docs/design.md has the table.
// Times are RFC 3339 in UTC with milliseconds, so that they sort as text; ttl
// is in seconds since 1970, as DynamoDB's own deletion wants it.

const (
	version = 1

	jobSK   = "job"
	runSK   = "run"
	quotaSK = "quota"
	keySK   = "idem"

	noticeSK   = "notice"
	webhooksSK = "webhooks"

	// dueShard is the partition of the index by dueAt. One is enough for the
	// thousand writes a second that a partition takes.
	dueShard = "0"
	// queueShard is that of the index of waiting exports.
	queueShard = "0"
)

func exportPK(id string) string   { return "export#" + id }
func ownerPK(owner string) string { return "owner#" + owner }

// minuteSK is the counter of an owner's creates in a minute.
func minuteSK(minute time.Time) string { return "minute#" + minute.Format("2006-01-02T15:04Z") }

// jobItem is what is true of an export from one change of state to the next.
type jobItem struct {
	PK                 string       `dynamodbav:"pk"`
	SK                 string       `dynamodbav:"sk"`
	V                  int          `dynamodbav:"v"`
	ID                 string       `dynamodbav:"exportId"`
	Owner              string       `dynamodbav:"owner"`
	Spec               string       `dynamodbav:"spec"` // JSON, in normal form
	Token              string       `dynamodbav:"token"`
	DatasetFingerprint string       `dynamodbav:"datasetFingerprint"`
	Status             string       `dynamodbav:"status"`
	Phase              string       `dynamodbav:"phase,omitempty"`
	Traceparent        string       `dynamodbav:"traceparent,omitempty"`
	Attempt            int          `dynamodbav:"attempt"`
	Excused            int          `dynamodbav:"excused,omitempty"`
	Sends              int          `dynamodbav:"sends"`
	AsOf               string       `dynamodbav:"asOf,omitempty"`
	Order              string       `dynamodbav:"rowOrder,omitempty"`
	Result             *resultItem  `dynamodbav:"result,omitempty"`
	Error              *failureItem `dynamodbav:"error,omitempty"`
	CreatedAt          string       `dynamodbav:"createdAt"`
	StartedAt          string       `dynamodbav:"startedAt,omitempty"`
	CompletedAt        string       `dynamodbav:"completedAt,omitempty"`
	ExpiresAt          string       `dynamodbav:"expiresAt,omitempty"`
	DueShard           string       `dynamodbav:"dueShard,omitempty"`
	DueAt              string       `dynamodbav:"dueAt,omitempty"`
	QueueShard         string       `dynamodbav:"queueShard,omitempty"` // while it is Queued
	TTL                int64        `dynamodbav:"ttl,omitempty"`
}

type resultItem struct {
	Rows              int64  `dynamodbav:"rows"`
	UncompressedBytes int64  `dynamodbav:"uncompressedBytes"`
	Bytes             int64  `dynamodbav:"bytes"`
	CRC32             uint32 `dynamodbav:"crc32"`
	Key               string `dynamodbav:"key"`
	UploadID          string `dynamodbav:"uploadId,omitempty"`
	Files             int    `dynamodbav:"files,omitempty"`
	FileBytes         int64  `dynamodbav:"fileBytes,omitempty"`
}

type failureItem struct {
	Code    string `dynamodbav:"code"`
	Message string `dynamodbav:"message"`
}

// runItem is what a worker writes every second: small, and in no index.
type runItem struct {
	PK            string `dynamodbav:"pk"`
	SK            string `dynamodbav:"sk"`
	Fence         int64  `dynamodbav:"fence"`
	Worker        string `dynamodbav:"worker,omitempty"`
	Lease         string `dynamodbav:"lease,omitempty"`
	UploadID      string `dynamodbav:"uploadId,omitempty"`
	TotalRows     *int64 `dynamodbav:"totalRows,omitempty"`
	ProcessedRows int64  `dynamodbav:"processedRows"`
	RowsPerSecond int64  `dynamodbav:"rowsPerSecond"`
	TTL           int64  `dynamodbav:"ttl,omitempty"`
}

const timeLayout = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(timeLayout, s)
}

func newItems(e export.Export) (jobItem, runItem, error) {
	spec, err := json.Marshal(e.Spec)
	if err != nil {
		return jobItem{}, runItem{}, fmt.Errorf("encode spec: %w", err)
	}
	job := jobItem{
		PK: exportPK(e.ID), SK: jobSK, V: version,
		ID: e.ID, Owner: e.Owner, Spec: string(spec), Token: e.Token,
		DatasetFingerprint: e.DatasetFingerprint, Traceparent: e.Traceparent,
		Status: string(e.Status), Phase: string(e.Phase),
		CreatedAt: formatTime(e.CreatedAt),
		DueShard:  dueShard, DueAt: formatTime(e.DueAt), QueueShard: queueShard,
	}
	return job, runItem{PK: exportPK(e.ID), SK: runSK}, nil
}

// outlived reports whether an item's ttl has passed.
func outlived(item map[string]types.AttributeValue, now time.Time) bool {
	n, ok := item["ttl"].(*types.AttributeValueMemberN)
	if !ok {
		return false
	}
	ttl, err := strconv.ParseInt(n.Value, 10, 64)
	return err == nil && ttl < now.Unix()
}

// decode makes an export of its two items.
func decode(jobAV, runAV map[string]types.AttributeValue) (export.Export, error) {
	var job jobItem
	var run runItem
	if err := attributevalue.UnmarshalMap(jobAV, &job); err != nil {
		return export.Export{}, fmt.Errorf("decode job: %w", err)
	}
	if err := attributevalue.UnmarshalMap(runAV, &run); err != nil {
		return export.Export{}, fmt.Errorf("decode run: %w", err)
	}
	if job.V != version {
		return export.Export{}, fmt.Errorf("job %s has version %d, this program knows %d", job.ID, job.V, version)
	}
	e := export.Export{
		ID: job.ID, Owner: job.Owner, Token: job.Token, DatasetFingerprint: job.DatasetFingerprint, Traceparent: job.Traceparent,
		Status: export.Status(job.Status), Phase: export.Phase(job.Phase),
		Attempt: job.Attempt, Excused: job.Excused, Fence: run.Fence, Sends: job.Sends,
		Progress: export.Progress{TotalRows: run.TotalRows, ProcessedRows: run.ProcessedRows, RowsPerSecond: run.RowsPerSecond},
	}
	if err := json.Unmarshal([]byte(job.Spec), &e.Spec); err != nil {
		return export.Export{}, fmt.Errorf("decode spec of %s: %w", job.ID, err)
	}
	if job.Result != nil {
		r := export.Result(*job.Result)
		e.Result = &r
	}
	if job.Error != nil {
		e.Failure = &export.Failure{Code: export.Code(job.Error.Code), Message: job.Error.Message}
	}
	err := decodeTimes(&e, job, run)
	return e, err
}

func decodeTimes(e *export.Export, job jobItem, run runItem) error {
	var asOf time.Time
	for _, f := range []struct {
		from string
		to   *time.Time
	}{
		{job.CreatedAt, &e.CreatedAt},
		{job.StartedAt, &e.StartedAt},
		{job.CompletedAt, &e.CompletedAt},
		{job.ExpiresAt, &e.ExpiresAt},
		{job.DueAt, &e.DueAt},
		{job.AsOf, &asOf},
		{run.Lease, &e.LeaseUntil},
	} {
		var err error
		if *f.to, err = parseTime(f.from); err != nil {
			return fmt.Errorf("decode times of %s: %w", job.ID, err)
		}
	}
	if job.AsOf != "" {
		e.Snapshot = &export.Snapshot{AsOf: asOf, Order: export.Order(job.Order)}
	}
	return nil
}
