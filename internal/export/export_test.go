package export_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"csvexport/internal/export"
)

func TestExport_Percentage(t *testing.T) {
	total := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		name string
		e    export.Export
		want int
	}{
		{"total unknown", export.Export{Status: export.Processing, Progress: export.Progress{ProcessedRows: 5}}, 0},
		{"rounded down", export.Export{Status: export.Processing, Progress: export.Progress{TotalRows: total(3), ProcessedRows: 2}}, 66},
		{"all rows but not completed", export.Export{Status: export.Processing, Progress: export.Progress{TotalRows: total(3), ProcessedRows: 3}}, 99},
		{"no rows but not completed", export.Export{Status: export.Processing, Progress: export.Progress{TotalRows: total(0)}}, 0},
		{"completed without rows", export.Export{Status: export.Completed, Progress: export.Progress{TotalRows: total(0)}}, 100},
		{"failed halfway", export.Export{Status: export.Failed, Progress: export.Progress{TotalRows: total(4), ProcessedRows: 2}}, 50},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.e.Percentage(); got != test.want {
				t.Errorf("Percentage = %d, want %d", got, test.want)
			}
		})
	}
}

func TestExport_names(t *testing.T) {
	e := export.Export{
		ID: "0190-id", Owner: "anonymous", Spec: export.Spec{Dataset: "users"},
		CreatedAt: time.Date(2026, 11, 23, 21, 15, 0, 0, time.FixedZone("CET", 3600)),
	}
	if got, want := e.Key(3), "exports/anonymous/0190-id/3.csv.gz"; got != want {
		t.Errorf("Key = %s, want %s", got, want)
	}
	if got, want := e.FileName(), "users-20261123T201500Z.csv.gz"; got != want {
		t.Errorf("FileName = %s, want %s", got, want)
	}
	plain := export.DefaultFormat()
	plain.Compression = export.NoCompression
	e.Spec.Format = &plain
	if got, want := e.Key(3), "exports/anonymous/0190-id/3.csv"; got != want {
		t.Errorf("Key of a plain file = %s, want %s", got, want)
	}
	if got, want := e.FileName(), "users-20261123T201500Z.csv"; got != want {
		t.Errorf("FileName of a plain file = %s, want %s", got, want)
	}
	e.Spec.FileName = "chosen.csv"
	if got := e.FileName(); got != "chosen.csv" {
		t.Errorf("FileName = %s, want the chosen one", got)
	}
}

func TestError(t *testing.T) {
	cause := errors.New("password=secret")
	err := fmt.Errorf("run: %w", &export.Error{Code: export.SourceUnavailable, Message: "The database can't be reached.", Err: cause})
	if export.CodeOf(err) != export.SourceUnavailable || export.MessageOf(err) != "The database can't be reached." || !errors.Is(err, cause) {
		t.Errorf("code %s, message %q, cause kept: %v", export.CodeOf(err), export.MessageOf(err), errors.Is(err, cause))
	}
	if export.CodeOf(cause) != export.Internal || export.MessageOf(cause) == cause.Error() {
		t.Errorf("an unnamed error has code %s and message %q", export.CodeOf(cause), export.MessageOf(cause))
	}
}
