package dataset_test

import (
	"testing"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

func TestCatalog_Resolve(t *testing.T) {
	_, sel, err := dataset.Default().Resolve(export.Spec{Dataset: "users"})
	if err != nil || len(sel.Columns) != 7 || sel.Relation.Name != "users" {
		t.Errorf("selection %+v, error %v", sel, err)
	}
	_, _, err = dataset.Default().Resolve(export.Spec{Dataset: "orders"})
	if export.CodeOf(err) != export.InvalidRequest {
		t.Errorf("unknown dataset: error %v, want code %s", err, export.InvalidRequest)
	}
}

func TestDataset_Fingerprint(t *testing.T) {
	base := dataset.Default()["users"]
	if again := dataset.Default()["users"]; base.Fingerprint() != again.Fingerprint() {
		t.Error("equal definitions have different fingerprints")
	}
	for name, change := range map[string]func(*dataset.Dataset){
		"relation": func(d *dataset.Dataset) { d.Relation.Name = "people" },
		"key":      func(d *dataset.Dataset) { d.Key = []string{"email"} },
		"columns":  func(d *dataset.Dataset) { d.Columns = d.Columns[1:] },
	} {
		changed := base
		change(&changed)
		if changed.Fingerprint() == base.Fingerprint() {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
}
