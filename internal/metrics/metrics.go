// Package metrics writes what is to be counted and watched as lines of the log
// that CloudWatch turns into metrics by itself (Amazon CloudWatch User Guide,
// "Embedded metric format specification"). So a function needs no call to
// CloudWatch, and a metric's line has the export's id beside its numbers.
//
// The metrics are of a stack: its name is their only dimension, and a member of
// every line of the log; see config.Logger.
package metrics

import (
	"context"
	"log/slog"
	"time"
)

// Namespace is where the metrics stand in CloudWatch.
const Namespace = "CSVExport"

// Dimension is the member of each line whose value is the stack's name.
const Dimension = "stack"

// Level is above that of errors: metrics are written whatever the log's level is.
const Level = slog.LevelError + 8

// Name is a metric's.
type Name string

// The metrics.
const (
	Completed       Name = "ExportsCompleted"
	Failed          Name = "ExportsFailed" // the line's code says why
	Cancelled       Name = "ExportsCancelled"
	Released        Name = "AttemptsReleased" // attempts that failed and will be followed by another
	Rows            Name = "Rows"             // of completed exports
	Bytes           Name = "Bytes"            // of their files
	RunSeconds      Name = "RunSeconds"       // of a completed export, from the claim of its last attempt
	TotalSeconds    Name = "TotalSeconds"     // of a completed export, from its creation
	WaitSeconds     Name = "WaitSeconds"      // from an export's creation to its first claim
	OldestWaiting   Name = "OldestWaitingSeconds"
	LeaseLosses     Name = "LeaseLosses"     // workers that lost their claim, but for cancels
	Repairs         Name = "Repairs"         // by the sweeper; the line's repair says which
	OrphanedUploads Name = "OrphanedUploads" // aborted by the sweeper
	DeadLetters     Name = "DeadLetters"

	// Of telling that an export came to its end: to the event bus, and to each
	// webhook.
	Delivered       Name = "Deliveries"
	DeliveryFailure Name = "DeliveryFailures"    // attempts; the line's target says where
	DeliveryGivenUp Name = "DeliveriesGivenUp"   // after the last attempt
	OldestNotice    Name = "OldestNoticeSeconds" // of ends of which nobody began to tell
)

// units are the units of all metrics, as CloudWatch names them.
var units = map[Name]string{
	Completed: "Count", Failed: "Count", Cancelled: "Count", Released: "Count", Rows: "Count", Bytes: "Bytes",
	RunSeconds: "Seconds", TotalSeconds: "Seconds", WaitSeconds: "Seconds", OldestWaiting: "Seconds",
	LeaseLosses: "Count", Repairs: "Count", OrphanedUploads: "Count", DeadLetters: "Count",
	Delivered: "Count", DeliveryFailure: "Count", DeliveryGivenUp: "Count", OldestNotice: "Seconds",
}

// Value is a metric with its value.
type Value struct {
	Name  Name
	Value float64
}

// Count is one of what the metric counts.
func Count(name Name) Value { return Value{name, 1} }

// Seconds is a duration.
func Seconds(name Name, d time.Duration) Value { return Value{name, d.Seconds()} }

// The directive of a line, by the specification's names.
type directive struct {
	Timestamp         int64      `json:"Timestamp"` // milliseconds since 1970
	CloudWatchMetrics []declared `json:"CloudWatchMetrics"`
}

type declared struct {
	Namespace  string       `json:"Namespace"`
	Dimensions [][]string   `json:"Dimensions"`
	Metrics    []definition `json:"Metrics"`
}

type definition struct {
	Name Name   `json:"Name"`
	Unit string `json:"Unit"`
}

// Emit writes the values as one line of the log, whose other members go along.
func Emit(ctx context.Context, log *slog.Logger, values ...Value) {
	d := declared{Namespace: Namespace, Dimensions: [][]string{{Dimension}}}
	attrs := make([]slog.Attr, 0, len(values)+1)
	for _, v := range values {
		d.Metrics = append(d.Metrics, definition{v.Name, units[v.Name]})
		attrs = append(attrs, slog.Float64(string(v.Name), v.Value))
	}
	attrs = append(attrs, slog.Any("_aws", directive{time.Now().UnixMilli(), []declared{d}}))
	log.LogAttrs(ctx, Level, "metrics", attrs...)
}
