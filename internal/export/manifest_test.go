package export_test

import (
	"testing"
	"time"

	"csvexport/internal/export"
)

func TestExport_split(t *testing.T) {
	e := export.Export{
		ID: "0190-id", Owner: "anonymous", Spec: export.Spec{Dataset: "users", MaxRowsPerFile: 100}, Status: export.Completed,
		CreatedAt: time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC),
	}
	for got, want := range map[string]string{
		e.Key(3):        "exports/anonymous/0190-id/3.json",
		e.PartKey(3, 7): "exports/anonymous/0190-id/3/00007.csv.gz",
		e.FileName():    "users-20261123T201500Z.manifest.json",
		e.PartName(7):   "users-20261123T201500Z-00007.csv.gz",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	e.Spec.FileName = "chosen.csv.gz"
	if e.FileName() != "chosen.manifest.json" || e.PartName(1000) != "chosen-01000.csv.gz" {
		t.Errorf("names %s and %s", e.FileName(), e.PartName(1000))
	}
	e.Result = &export.Result{Key: e.Key(2), Files: 2}
	for key, want := range map[string]struct {
		attempt int
		keeps   bool
	}{
		e.Key(2):                              {2, true},
		e.PartKey(2, 1):                       {2, true},
		e.Key(1):                              {1, false},
		e.PartKey(1, 1):                       {1, false},
		e.PartKey(20, 1):                      {20, false},
		"exports/anonymous/0190-id/":          {0, false},
		"exports/anonymous/0190-id/x.json":    {0, false},
		"exports/anonymous/0190-other/2.json": {0, false},
	} {
		if got := e.AttemptOf(key); got != want.attempt {
			t.Errorf("AttemptOf(%s) = %d, want %d", key, got, want.attempt)
		}
		if got := e.Keeps(key); got != want.keeps {
			t.Errorf("Keeps(%s) = %v", key, got)
		}
	}
	for _, status := range []export.Status{export.Processing, export.Failed, export.Cancelled, export.Expired, export.Deleted} {
		e.Status = status
		if e.Keeps(e.Result.Key) || e.Keeps(e.PartKey(2, 1)) {
			t.Errorf("an export that is %s keeps its files", status)
		}
	}
}
