package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	eventsQuery = "SELECT id, tenant_id AS tenant, kind, created_at AS at, source, payload, tags, scores FROM events"
	ordersQuery = "SELECT id, ordered_on, tenant_id, customer_id, status, paid, total, note FROM orders"
)

// limitedDatasets are added to the examples: one whose definition changes, and
// one for each limit.
const limitedDatasets = `
  - {name: changing, relation: public.orders, key: [ordered_on, id], columns: [id, total]}
  - {name: few, relation: public.orders, key: [ordered_on, id], columns: [id], filters: [{column: id, type: integer, by: [max]}], limits: {rows: 1000}}
  - {name: small, relation: public.orders, key: [ordered_on, id], columns: [id, note], limits: {bytes: 4kB}}
  - {name: quick, relation: public.slow, columns: [id, slept], limits: {age: 2s}}
`

// datasetStack is a stack with the examples and those of limitedDatasets; the
// file is theirs.
func datasetStack(t *testing.T) (l *local, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "seeds", "datasets.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "datasets.yaml")
	writeFile(t, file, string(text)+limitedDatasets)
	if l, err = up(stackName("datasets"), "-ephemeral", "-port", "0", "-datasets", file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"users", "events", "orders"} {
		if out, code := runLocal(t, nil, "seed", "-root", root, "-stack", l.Name, "-rows", fmt.Sprint(smallRows), "-dataset", name); code != 0 {
			t.Fatalf("seed: status %d\n%s", code, out)
		}
	}
	l.psql(t, "CREATE VIEW slow AS SELECT i AS id, pg_sleep(20)::text AS slept FROM generate_series(1, 5) i")
	return l, file
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDatasets exports several datasets on a stack of their own.
func TestDatasets(t *testing.T) {
	l, file := datasetStack(t)
	t.Run("changed between request and run", func(t *testing.T) { checkChanged(t, l, file) })
	t.Run("the first is the default", func(t *testing.T) {
		created := l.create(t)
		if created.Dataset != "users" {
			t.Errorf("dataset %q", created.Dataset)
		}
		l.follow(t, created.ExportID, time.Minute, nil)
	})
	for _, tt := range []struct{ name, request, query string }{
		{"events", `{"dataset":"events"}`, eventsQuery + " ORDER BY id"},
		{"orders", `{"dataset":"orders"}`, ordersQuery + " ORDER BY ordered_on, orders.id"},
		{
			"events filtered", `{"dataset":"events","filters":{"tenant":["acme","globex"],"source_is_null":false,"kind_prefix":"p","at_to":"2024-01-02"}}`,
			eventsQuery + " WHERE tenant_id IN ('acme', 'globex') AND source IS NOT NULL AND kind LIKE 'p%' AND created_at < '2024-01-03 00:00+00' ORDER BY id",
		},
		{
			"orders filtered", `{"dataset":"orders","filters":{"id_min":10,"id_max":"4000","paid":true,"ordered_on_from":"2024-02-29","total_max":90000.5}}`,
			ordersQuery + " WHERE id BETWEEN 10 AND 4000 AND paid AND ordered_on >= '2024-02-29' AND total <= 90000.5 ORDER BY ordered_on, orders.id",
		},
		{
			"columns by their names in the file", `{"dataset":"events","columns":["at","tenant","scores"]}`,
			"SELECT created_at AS at, tenant_id AS tenant, scores FROM events ORDER BY id",
		},
		{"as many rows as the limit", `{"dataset":"few","filters":{"id_max":1000}}`, "SELECT id FROM orders WHERE id <= 1000 ORDER BY ordered_on, id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := l.psql(t, "COPY ("+tt.query+") TO STDOUT (FORMAT csv, HEADER)")
			rows := atoi(t, l.psql(t, "SELECT count(*) FROM ("+tt.query+") AS q"))
			if rows == 0 {
				t.Fatal("no row matches: this proves nothing")
			}
			l.checkSelection(t, tt.request, want, rows)
		})
	}
	for _, tt := range []struct{ dataset, code, says string }{
		{"few", "row_limit", "more than 1000 rows"},
		{"small", "byte_limit", "larger than 4000 bytes"},
		{"quick", "age_limit", "longer than 2s"},
	} {
		t.Run("limit of "+tt.dataset, func(t *testing.T) {
			id := l.createWith(t, `{"dataset":"`+tt.dataset+`"}`)
			checkFailed(t, l, id, tt.code, tt.says)
		})
	}
	t.Run("wrong values", func(t *testing.T) {
		checkDatasetProblems(t, l, `{"dataset":"orders","filters":{"paid":"yes","ordered_on_from":"2024-02-30","id":[1.5],"note_is_null":1,"note_prefix":"","tenant":"acme"}}`,
			"filters.paid filters.ordered_on_from filters.id filters.note_is_null filters.note_prefix filters.tenant")
		checkDatasetProblems(t, l, `{"dataset":"events","columns":["tenant_id"],"filters":{"id":"7","tenant":true}}`, "filters.id filters.tenant columns")
		checkDatasetProblems(t, l, `{"dataset":"orders","rows":["1"]}`, "rows")
	})
}

// checkChanged lets create-export start with one definition, and run-export,
// which hasn't run yet, with another.
func checkChanged(t *testing.T, l *local, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if a := l.request(t, http.MethodPost, "/exports/csv", `{"dataset":"changing","validateOnly":true}`); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	writeFile(t, file, strings.Replace(string(text), "columns: [id, total]", "columns: [id, note]", 1))
	id := l.createWith(t, `{"dataset":"changing"}`)
	checkFailed(t, l, id, "dataset_changed", "definition changed after the export was requested. Please request it again")
}

// checkFailed follows an export that fails at its first attempt.
func checkFailed(t *testing.T, l *local, id, code, says string) {
	t.Helper()
	s := l.follow(t, id, time.Minute, nil)
	if s.Status != "failed" || aws.ToString(s.ErrorCode) != code || !strings.Contains(aws.ToString(s.Error), says) || s.Attempts != 1 {
		t.Errorf("status %s, %s: %s in attempt %d; want %s that says %q", s.Status, aws.ToString(s.ErrorCode), aws.ToString(s.Error), s.Attempts, code, says)
	}
	a := l.get(t, "/exports/"+id+"/download")
	if a.status != http.StatusConflict {
		t.Errorf("download answers %d\n%s", a.status, a.body)
	}
	list, err := l.Endpoints.S3Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &l.Bucket, Prefix: aws.String("exports/anonymous/" + id + "/")})
	if err != nil || len(list.Contents) > 0 {
		t.Errorf("objects %v (%v), want none", list, err)
	}
	l.checkNothingLeft(t, id)
}

func checkDatasetProblems(t *testing.T, l *local, request, want string) {
	t.Helper()
	a := l.request(t, http.MethodPost, "/exports/csv", request)
	var problem struct{ Errors []struct{ Field string } }
	if err := json.Unmarshal(a.body, &problem); err != nil || a.status != http.StatusBadRequest {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var fields []string
	for _, e := range problem.Errors {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("%s\nproblems with %s, want %s", request, got, want)
	}
}

// The catalog may lie in S3. While it isn't there, or is wrong, no function
// starts, and the log has every reason.
func TestDatasets_S3(t *testing.T) {
	const bucket, key = "catalogs", "v1/datasets.yaml"
	l, err := up(stackName("datasets-s3"), "-ephemeral", "-port", "0", "-datasets", "s3://"+bucket+"/"+key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	client := l.Endpoints.S3Client()
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	put := func(text string) {
		t.Helper()
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(text)})
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(reasons ...string) {
		t.Helper()
		if a := l.request(t, http.MethodPost, "/exports/csv", "{}"); a.status < 500 {
			t.Fatalf("answer %d %s", a.status, a.body)
		}
		log := string(bytes.Join(l.logs(t, "create-export"), []byte("\n")))
		for _, r := range reasons {
			if !strings.Contains(log, r) {
				t.Errorf("the log doesn't say %q:\n%s", r, log)
			}
		}
	}
	refused("s3://catalogs/v1/datasets.yaml", "NoSuchKey")
	put("datasets:\n  - name: Mine\n    relation: public.users\n    columns: [id, id]\n    colums: [x]\n")
	refused(`datasets.yaml:2: the name`, `datasets.yaml:4: there is a column`, `datasets.yaml:5: a dataset has no key`)

	l.seed(t, smallRows)
	put("datasets:\n  - {name: mine, relation: public.users, key: [id], columns: [id, {name: mail, column: email}]}\n")
	want := l.psql(t, "COPY (SELECT id, email AS mail FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER)")
	l.checkSelection(t, "{}", want, smallRows)
	for method, target := range map[string]string{http.MethodGet: "/datasets/mine", http.MethodPost: "/exports/estimate"} {
		if a := l.request(t, method, target, ""); a.status != http.StatusOK {
			t.Errorf("%s %s answers %d %s", method, target, a.status, a.body)
		}
	}
}
