package export_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
)

// The stored form is read by other versions of the program.
func TestSpec_stored(t *testing.T) {
	chosen := export.Format{
		Delimiter: "\t", Quote: "'", Null: `\N`, BOM: true, LineEnding: export.CRLF, FormulaGuard: true, Compression: export.NoCompression,
	}
	for _, test := range []struct {
		name, json string
		spec       export.Spec
		format     export.Format
	}{
		{"of before there were formats", `{"dataset":"users"}`, export.Spec{Dataset: "users"}, export.DefaultFormat()},
		{
			"chosen",
			`{"dataset":"users","format":{"delimiter":"\t","quote":"'","null":"\\N","header":false,"bom":true,"lineEnding":"crlf","formulaGuard":true,"compression":"none"},"fileName":"a.csv"}`,
			export.Spec{Dataset: "users", Format: &chosen, FileName: "a.csv"},
			chosen,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := json.Marshal(test.spec)
			if err != nil || string(got) != test.json {
				t.Errorf("stored as %s (%v), want %s", got, err, test.json)
			}
			var spec export.Spec
			if err := json.Unmarshal([]byte(test.json), &spec); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.spec, spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.format, spec.FormatOrDefault()); diff != "" {
				t.Errorf("format (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFormat_file(t *testing.T) {
	f := export.DefaultFormat()
	if f.ContentType() != "application/gzip" || f.Extension() != ".csv.gz" {
		t.Errorf("packed: %s, %s", f.ContentType(), f.Extension())
	}
	f.Compression = export.NoCompression
	if f.ContentType() != "text/csv" || f.Extension() != ".csv" {
		t.Errorf("plain: %s, %s", f.ContentType(), f.Extension())
	}
}
