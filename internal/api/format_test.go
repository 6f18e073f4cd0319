package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/api"
	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// create creates an export of anna's and returns its record.
func (f fixture) created(t *testing.T, body string) export.Export {
	t.Helper()
	w, answer := do(t, f.create, "anna", http.MethodPost, "", "application/json", body)
	if w.Code != http.StatusAccepted {
		t.Fatalf("%s: status %d, %v", body, w.Code, answer)
	}
	e, err := f.jobs.Get(t.Context(), answer["exportId"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Whatever isn't said is the default's, and the default is no format.
func TestCreateExport_format(t *testing.T) {
	f := newFixture(t)
	semicolon, other := export.DefaultFormat(), export.Format{
		Delimiter: "\t", Quote: "'", Null: `\N`, BOM: true, LineEnding: export.CRLF, FormulaGuard: true, Compression: export.NoCompression,
	}
	semicolon.Delimiter = ";"
	for _, test := range []struct {
		body string
		want export.Spec
	}{
		{`{"format":{}}`, export.Spec{}},
		{`{"format":{"delimiter":",","quote":"\"","null":"","header":true,"bom":false,"lineEnding":"lf","formulaGuard":false,"compression":"gzip"}}`, export.Spec{}},
		{`{"format":{"delimiter":";"}}`, export.Spec{Format: &semicolon}},
		{
			`{"fileName":"Übersicht.csv","format":{"delimiter":"\t","quote":"'","null":"\\N","header":false,"bom":true,"lineEnding":"crlf","formulaGuard":true,"compression":"none"}}`,
			export.Spec{Format: &other, FileName: "Übersicht.csv"},
		},
	} {
		test.want.Dataset = "users"
		if diff := cmp.Diff(test.want, f.created(t, test.body).Spec); diff != "" {
			t.Errorf("%s: spec (-want +got):\n%s", test.body, diff)
		}
	}
}

func TestCreateExport_refusesFormats(t *testing.T) {
	h := &api.CreateExport{Catalog: dataset.Default()}
	for _, test := range []struct{ body, fields string }{
		{`"format":null`, "format"},
		{`"format":[]`, "format"},
		{`"format":"csv"`, "format"},
		{`"format":{},"format":{}`, "format"},
		{`"format":{"escape":"\\","Header":true}`, "format.escape format.Header"},
		{`"format":{"delimiter":";","delimiter":";"}`, "format.delimiter"},
		{`"format":{"x":1,"x":1}`, "format.x format.x"},
		{
			`"format":{"delimiter":null,"quote":null,"null":null,"header":null,"bom":null,"lineEnding":null,"formulaGuard":null,"compression":null}`,
			"format.delimiter format.quote format.null format.header format.bom format.lineEnding format.formulaGuard format.compression",
		},
		{
			`"format":{"delimiter":1,"quote":[],"null":0,"header":"true","bom":1,"lineEnding":{},"formulaGuard":"no","compression":true}`,
			"format.delimiter format.quote format.null format.header format.bom format.lineEnding format.formulaGuard format.compression",
		},
		{
			`"format":{"delimiter":"","quote":"ab","null":"\n","lineEnding":"CRLF","compression":"GZIP"}`,
			"format.delimiter format.quote format.null format.lineEnding format.compression",
		},
		{`"format":{"quote":","}`, "format.quote"},
		{`"fileName":null`, "fileName"},
		{`"fileName":5`, "fileName"},
		{`"fileName":["a.csv.gz"]`, "fileName"},
		{`"fileName":""`, "fileName"},
		{`"fileName":"a.csv"`, "fileName"},
		{`"fileName":"a.csv.gz","format":{"compression":"none"}`, "fileName"},
		{`"x":1,"format":{"header":1,"null":"\""},"columns":["nope"],"fileName":"/"`, "x format.header columns format.null fileName"},
	} {
		w, problem := do(t, h, "anna", http.MethodPost, "", "application/json", `{"validateOnly":true,`+test.body+`}`)
		if got := fields(problem); w.Code != http.StatusBadRequest || got != test.fields {
			t.Errorf("%s: status %d, fields %q, want %q", test.body, w.Code, got, test.fields)
		}
	}
}

func TestFileName(t *testing.T) {
	f, name := newFixture(t), servertest.Bucket(t)
	f.download.Buckets = bucket.NewBuckets(servertest.AWS(t), name, "")
	for _, test := range []struct{ body, want string }{
		{`{"format":{"compression":"none"}}`, ".csv"}, // behind the dataset and the time
		{`{"fileName":"Übersicht (neu).csv.gz"}`, "Übersicht (neu).csv.gz"},
	} {
		e := f.created(t, test.body)
		e, err := f.jobs.Claim(t.Context(), e, "worker", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := complete(t, f, e, export.Result{Key: e.Key(1)}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		put(t, name, e)
		if e.FileName() != test.want && e.FileName() != "users-"+e.CreatedAt.Format("20060102T150405Z")+test.want {
			t.Errorf("%s: the file's name is %s", test.body, e.FileName())
		}
		if _, status := do(t, f.get, "anna", http.MethodGet, e.ID, "", ""); status["file"].(map[string]any)["name"] != e.FileName() {
			t.Errorf("%s: status says %v", test.body, status["file"])
		}
		w, _ := do(t, f.download, "anna", http.MethodHead, e.ID, "", "")
		if got := w.Header().Get("Content-Disposition"); got != bucket.Attachment(e.FileName()) {
			t.Errorf("%s: HEAD says %s", test.body, got)
		}
		w, _ = do(t, f.download, "anna", http.MethodGet, e.ID, "", "")
		if at := w.Header().Get("Location"); !strings.Contains(at, "/"+e.Key(1)+"?") {
			t.Errorf("%s: Location %s", test.body, at)
		}
	}
}
