package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

const (
	// hostileWhere and hostileFilter choose the rows of seedHostile.
	hostileWhere  = "lifetime_value = -99999999.99"
	hostileFilter = `"filters":{"lifetime_value_max":-99999999.99}`

	// guardedColumns are the users' columns with the formula guard, by hand: rpad
	// gives char(2) the blanks back that it loses as a text.
	guardedColumns = `id, CASE WHEN name ~ '^[-=+@\t\r]' THEN '''' || name ELSE name END AS name,
		CASE WHEN email ~ '^[-=+@\t\r]' THEN '''' || email ELSE email END AS email, signup_date,
		CASE WHEN country_code ~ '^[-=+@\t\r]' THEN '''' ELSE '' END || rpad(country_code, 2) AS country_code,
		CASE WHEN subscription_tier ~ '^[-=+@\t\r]' THEN '''' || subscription_tier ELSE subscription_tier END AS subscription_tier, lifetime_value`
)

// seedHostile adds users whose values are hard for CSV and for spreadsheets.
// The next test seeds anew.
func (l *local) seedHostile(t *testing.T) {
	t.Helper()
	l.seed(t, smallRows)
	l.rows = -1
	l.psql(t, `INSERT INTO users (name, email, signup_date, country_code, subscription_tier, lifetime_value)
		SELECT name, (ARRAY['', '=', '+', 'a;b,'])[i % 4 + 1] || i || '@hostile', CASE WHEN i % 3 > 0 THEN timestamptz '2024-01-01 12:00:00+00' END,
			(ARRAY['US', '  ', 'A', '=', '-1', ' ='])[i % 6 + 1], (ARRAY['free', '', NULL, 'NULL', '@tier'])[i % 5 + 1], -99999999.99
		FROM unnest(ARRAY['=cmd|''/C calc''!A0', '+1', '-1', '@SUM(A1)', E'\ttab', E'\rreturn', '''=', '=', '', ' =1', '=1', 'NULL', 'say "hi"', 'a,b;c',
			E'two\nlines', E'two\r\nlines', E'ends\n', '\N', '\.', 'Zoë 𝔘', '＝1', E'\x01', 'a	b']) WITH ORDINALITY names (name, i)`)
}

// format is a format and what a file in it must hold, by psql's COPY with
// options written by hand and what is done to its bytes.
type format struct {
	name, request string // the members of the request's format
	columns       string // of the SELECT; empty for all
	options       string // of COPY, behind FORMAT csv
	change        func([]byte) []byte
	plain         bool // compression none
}

var formats = []format{
	{name: "default, said", request: `"delimiter":",","quote":"\"","null":"","header":true,"bom":false,"lineEnding":"lf","formulaGuard":false,"compression":"gzip"`, options: "HEADER"},
	{name: "semicolon", request: `"delimiter":";"`, options: "HEADER, DELIMITER ';'"},
	{name: "tab", request: `"delimiter":"\t"`, options: `HEADER, DELIMITER E'\t'`},
	{name: "delimiter that is in names and numbers", request: `"delimiter":"_","quote":"9"`, options: "HEADER, DELIMITER '_', QUOTE '9'"},
	{name: "apostrophe as the quote", request: `"quote":"'"`, options: "HEADER, QUOTE ''''"},
	{name: "text for NULL", request: `"null":"NULL"`, options: "HEADER, NULL 'NULL'"},
	{name: "text for NULL with an apostrophe", request: `"null":"isn't \\ ∅"`, options: `HEADER, NULL 'isn''t \ ∅'`},
	{name: "no header", request: `"header":false`, options: "HEADER false"},
	{name: "byte order mark", request: `"bom":true`, options: "HEADER", change: withBOM},
	{name: "byte order mark without a header", request: `"bom":true,"header":false`, options: "HEADER false", change: withBOM},
	{name: "CRLF", request: `"lineEnding":"crlf"`, options: "HEADER", change: func(b []byte) []byte { return withCRLF(b, '"') }},
	{name: "formula guard", request: `"formulaGuard":true`, columns: guardedColumns, options: "HEADER"},
	{name: "no compression", request: `"compression":"none"`, options: "HEADER", plain: true},
	{
		name:    "all at once",
		request: `"delimiter":"\t","quote":"'","null":"\\N","header":false,"bom":true,"lineEnding":"crlf","formulaGuard":true,"compression":"none"`,
		columns: guardedColumns, options: `HEADER false, DELIMITER E'\t', QUOTE '''', NULL '\N'`, plain: true,
		change: func(b []byte) []byte { return withBOM(withCRLF(b, '\'')) },
	},
}

func withBOM(csv []byte) []byte { return append([]byte("\xef\xbb\xbf"), csv...) }

// withCRLF ends rows by CRLF: those line feeds that aren't in quotes.
func withCRLF(csv []byte, quote byte) []byte {
	var out []byte
	quoted := false
	for _, c := range csv {
		if quoted = quoted != (c == quote); c == '\n' && !quoted {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// TestFormat compares files in all formats.
func TestFormat(t *testing.T) {
	shared.seedHostile(t)
	rows := atoi(t, shared.psql(t, "SELECT count(*) FROM users WHERE "+hostileWhere))
	var mu sync.Mutex
	files := map[string]string{}
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			id := shared.createWith(t, `{"format":{`+f.request+`},`+hostileFilter+`}`)
			columns := f.columns
			if columns == "" {
				columns = "*"
			}
			want := shared.psql(t, "COPY (SELECT "+columns+" FROM users WHERE "+hostileWhere+" ORDER BY users.id) TO STDOUT (FORMAT csv, "+f.options+")")
			if f.change != nil {
				want = f.change(want)
			}
			shared.checkFormat(t, id, f.plain, want, rows)
			if f.plain {
				return // as a packed one, not packed
			}
			mu.Lock()
			defer mu.Unlock()
			if other, ok := files[string(want)]; ok {
				t.Errorf("the file is the same as for %s: this proves nothing", other)
			}
			files[string(want)] = f.name
		})
	}
}

// A file of no rows may hold nothing at all, packed or not.
func TestFormat_empty(t *testing.T) {
	shared.seed(t, smallRows)
	for _, tt := range []struct {
		name, request string
		plain         bool
		want          string
	}{
		{"nothing", `"header":false,"compression":"none"`, true, ""},
		{"nothing, packed", `"header":false`, false, ""},
		{"a byte order mark", `"header":false,"bom":true,"compression":"none"`, true, "\ufeff"},
		{"a header", `"delimiter":"_","bom":true,"lineEnding":"crlf"`, false, "\ufeffid_email_\"signup_date\"\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := shared.createWith(t, `{"format":{`+tt.request+`},"columns":["id","email","signup_date"],"filters":{"country_code":"ZZ"}}`)
			shared.checkFormat(t, id, tt.plain, []byte(tt.want), 0)
		})
	}
}

func (l *local) createWith(t *testing.T, request string) string {
	t.Helper()
	return decodeStatus(t, l.request(t, http.MethodPost, "/exports/csv", request), http.StatusAccepted).ExportID
}

// checkFormat follows an export and compares its object, packed or plain, and
// whatever says something about it.
func (l *local) checkFormat(t *testing.T, id string, plain bool, want []byte, rows int) {
	t.Helper()
	kind, extension := "application/gzip", ".csv.gz"
	if plain {
		kind, extension = "text/csv", ".csv"
	}
	done := l.follow(t, id, time.Minute, nil)
	if done.Status != "completed" || done.Progress.ProcessedRows != rows || !strings.HasSuffix(done.File.Name, "Z"+extension) {
		t.Fatalf("%+v %+v, want %d rows in a file %s", done, done.File, rows, extension)
	}
	object := l.get(t, l.get(t, "/exports/"+id+"/download").header.Get("Location"))
	got := object.body
	if !plain {
		got = gunzip(t, object.body)
	}
	if object.status != http.StatusOK || !bytes.Equal(got, want) {
		t.Fatalf("the file (%d, -want +got):\n%s", object.status, cmp.Diff(lines(want), lines(got)))
	}
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(object.body)))
	file := file{Name: done.File.Name, Bytes: len(object.body), UncompressedBytes: len(want), Checksum: checksum{"CRC32", "FULL_OBJECT", sum}}
	if diff := cmp.Diff(file, *done.File); diff != "" {
		t.Errorf("file in the status (-want +got):\n%s", diff)
	}
	key := fmt.Sprintf("exports/anonymous/%s/1%s", id, extension)
	stored, err := l.Endpoints.S3Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &l.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(stored.ContentType) != kind || stored.ContentEncoding != nil || aws.ToString(stored.ChecksumCRC32) != sum {
		t.Errorf("S3 has a %s of checksum %s, want %s and %s", aws.ToString(stored.ContentType), aws.ToString(stored.ChecksumCRC32), kind, sum)
	}
	head := l.request(t, http.MethodHead, "/exports/"+id+"/download", "")
	for name, value := range map[string]string{
		"Content-Type": kind, "X-Export-Bytes": fmt.Sprint(len(object.body)), "X-Amz-Checksum-Crc32": sum,
		"Content-Disposition": object.header.Get("Content-Disposition"), "ETag": object.header.Get("ETag"),
	} {
		if head.header.Get(name) != value {
			t.Errorf("HEAD answers %s: %s, want %s", name, head.header.Get(name), value)
		}
	}
	if got := object.header.Get("Content-Type"); got != kind {
		t.Errorf("GET answers Content-Type: %s, want %s", got, kind)
	}
}

func lines(b []byte) []string { return strings.SplitAfter(string(b), "\n") }

// The name that a caller chose is the download's, wherever a name stands.
func TestFileName(t *testing.T) {
	shared.seed(t, smallRows)
	const small = `,"filters":{"country_code":"ZZ"}}`
	for _, tt := range []struct{ name, request, want string }{
		{"plain", `{"fileName":"customers.csv.gz"` + small, "customers.csv.gz"},
		{"with a space, not packed", `{"fileName":"customers 2026 (new), 'a'.csv","format":{"compression":"none"}` + small, "customers 2026 (new), 'a'.csv"},
		{"no ASCII", `{"fileName":"Käufer – 顧客 𝔘.csv.gz"` + small, "Käufer – 顧客 𝔘.csv.gz"},
		{"percent signs", `{"fileName":"100%25 %.csv.gz"` + small, "100%25 %.csv.gz"},
		{"120 characters", `{"fileName":"` + strings.Repeat("ü", 113) + `.csv.gz"` + small, strings.Repeat("ü", 113) + ".csv.gz"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id := shared.createWith(t, tt.request)
			path := "/exports/" + id + "/download"
			if done := shared.follow(t, id, time.Minute, nil); done.File == nil || done.File.Name != tt.want {
				t.Fatalf("status %+v, want a file %s", done, tt.want)
			}
			var download map[string]any
			shared.get(t, path, "Accept: application/json").decode(t, http.StatusOK, "application/json", &download)
			if download["fileName"] != tt.want {
				t.Errorf("download says %v, want %s", download["fileName"], tt.want)
			}
			for what, a := range map[string]answer{
				"GET":      shared.get(t, shared.get(t, path).header.Get("Location")),
				"JSON URL": shared.get(t, download["url"].(string)),
				"HEAD":     shared.request(t, http.MethodHead, path, ""),
			} {
				kind, parameters, err := mime.ParseMediaType(a.header.Get("Content-Disposition"))
				if err != nil || a.status != http.StatusOK || kind != "attachment" || parameters["filename"] != tt.want {
					t.Errorf("%s answers %d and Content-Disposition %s, want %s (%v)", what, a.status, a.header.Get("Content-Disposition"), tt.want, err)
				}
			}
		})
	}
	t.Run("curl saves it", func(t *testing.T) {
		id := shared.createWith(t, `{"fileName":"customers 2026.csv.gz"`+small)
		shared.follow(t, id, time.Minute, nil)
		dir := t.TempDir()
		out, code := runCommand(t, nil, "curl", "-sS", "-f", "-L", "-O", "-J", "--output-dir", dir, shared.BaseURL+"/exports/"+id+"/download")
		if _, err := os.Stat(filepath.Join(dir, "customers 2026.csv.gz")); code != 0 || err != nil {
			t.Errorf("curl: status %d, %v\n%s", code, err, out)
		}
	})
}
