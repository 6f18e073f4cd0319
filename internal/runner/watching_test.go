package runner_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

// What becomes of an attempt is counted, and each line about the export has its
// trace, though the message, which may be one by hand, has none.
func TestRunner_metrics(t *testing.T) {
	for name, test := range map[string]struct {
		sql         string // NOBODY: the database can't be reached
		code        string // of the line that counts the failure
		wantMetrics map[string]float64
	}{
		"completed": {sql: "SELECT 1", wantMetrics: map[string]float64{
			"ExportsCompleted": 1, "Rows": 10, "Bytes": servertest.Some, "WaitSeconds": servertest.Some, "RunSeconds": servertest.Some, "TotalSeconds": servertest.Some,
		}},
		"failed":   {sql: "ALTER TABLE users RENAME email TO mail", code: "source_rejected", wantMetrics: map[string]float64{"ExportsFailed": 1, "WaitSeconds": servertest.Some}},
		"released": {sql: "NOBODY", code: "source_unreachable", wantMetrics: map[string]float64{"AttemptsReleased": 1, "WaitSeconds": servertest.Some}},
	} {
		t.Run(name, func(t *testing.T) {
			url := nobodyListens
			if test.sql != "NOBODY" {
				url = servertest.Database(t)
				servertest.Users(t, url, 10)
			}
			f := newFixture(t, url)
			e := f.create(t)
			if url != nobodyListens {
				servertest.PSQL(t, url, test.sql)
			}
			log := servertest.Log(t)
			f.run(t, e.ID)
			lines := log()
			servertest.WantMetrics(t, lines, test.wantMetrics)
			for _, line := range lines {
				if line["exportId"] == e.ID && line["traceparent"] != trace {
					t.Errorf("a line has another trace: %v", line)
				}
				counted := line["ExportsFailed"] != nil || line["AttemptsReleased"] != nil
				if counted && line["code"] != test.code {
					t.Errorf("a failure is counted without its code %s: %v", test.code, line)
				}
			}
		})
	}
}

// A released export's message has its trace.
func TestRunner_releasedTrace(t *testing.T) {
	f := newFixture(t, nobodyListens)
	e := f.create(t)
	f.run(t, e.ID)
	out, err := sqs.NewFromConfig(f.cfg).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &f.queueURL, WaitTimeSeconds: int32((10 * time.Second).Seconds())})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("%d messages (%v), want the next attempt's", len(out.Messages), err)
	}
	if m, err := queue.Decode(*out.Messages[0].Body); err != nil || m.ExportID != e.ID || m.Traceparent != trace {
		t.Errorf("message %+v (%v)", m, err)
	}
}
