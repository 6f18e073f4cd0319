package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestDownload has two exports: the file of one is downloaded in every way,
// and the other's must stay out of reach of its URLs.
func TestDownload(t *testing.T) {
	shared.seed(t, smallRows)
	done := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
	other := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
	path := "/exports/" + done.ExportID + "/download"
	signed := shared.get(t, path).header.Get("Location")
	whole := shared.get(t, signed).body

	t.Run("redirect and JSON", func(t *testing.T) { shared.checkFile(t, done) })
	t.Run("signed anew each time", func(t *testing.T) {
		eventually(t, 5*time.Second, "another URL", func() bool { return shared.get(t, path).header.Get("Location") != signed })
	})
	t.Run("HEAD", func(t *testing.T) { checkHead(t, done, shared.get(t, signed)) })
	t.Run("not ready", checkNotReady)
	checkRanges(t, signed, whole)
	checkResume(t, shared.BaseURL+path, whole)
	checkTampered(t, signed, done, other)
	t.Run("expired URL and expired file", func(t *testing.T) { checkExpires(t, other) })
}

// checkHead compares HEAD with what a GET of the file has answered. API Gateway
// makes Content-Length itself, so the size has a header of its own.
func checkHead(t *testing.T, s status, got answer) {
	t.Helper()
	head := shared.request(t, http.MethodHead, "/exports/"+s.ExportID+"/download", "")
	if head.status != http.StatusOK || len(head.body) != 0 {
		t.Fatalf("HEAD answers %d and %d bytes", head.status, len(head.body))
	}
	checkHeaders(t, head.header, s.File.Name)
	for _, name := range []string{"Content-Type", "Content-Disposition", "ETag", "Last-Modified", "Accept-Ranges"} {
		if a, b := head.header.Get(name), got.header.Get(name); a != b || a == "" {
			t.Errorf("%s of HEAD is %q, of GET %q", name, a, b)
		}
	}
	for name, want := range map[string]string{
		"X-Export-Bytes": fmt.Sprint(len(got.body)), "X-Export-Rows": fmt.Sprint(*s.Progress.TotalRows), "X-Amz-Checksum-Crc32": s.File.Checksum.Value,
	} {
		if value := head.header.Get(name); value != want {
			t.Errorf("%s of HEAD is %q, want %q", name, value, want)
		}
	}
}

// checkNotReady asks for a file while its export can't go on.
func checkNotReady(t *testing.T) {
	unlock := shared.lockUsers(t)
	id := shared.create(t).ExportID
	for _, accept := range []string{"*/*", "application/json"} {
		a := shared.get(t, "/exports/"+id+"/download", "Accept: "+accept)
		checkProblem(t, a, http.StatusConflict, "export_not_ready")
		if got := a.header.Get("Retry-After"); atoi(t, []byte(got)) < 1 {
			t.Errorf("Retry-After %q", got)
		}
	}
	if a := shared.request(t, http.MethodHead, "/exports/"+id+"/download", ""); a.status != http.StatusConflict {
		t.Errorf("HEAD answers %d", a.status)
	}
	unlock()
	if done := shared.follow(t, id, time.Minute, nil); done.Status != "completed" {
		t.Errorf("the export is %s", done.Status)
	}
}

// checkRanges asks for parts of a file (RFC 9110, "Range Requests").
func checkRanges(t *testing.T, signed string, whole []byte) {
	t.Helper()
	size := len(whole)
	for _, tt := range []struct {
		name, header string
		first, end   int // of the bytes wanted; none: it can't be satisfied
	}{
		{"first bytes", "bytes=0-99", 0, 100},
		{"one byte", "bytes=0-0", 0, 1},
		{"bytes in the middle", "bytes=5000-5999", 5000, 6000},
		{"from the middle on", "bytes=5000-", 5000, size},
		{"last bytes", "bytes=-50", size - 50, size},
		{"over the end", fmt.Sprintf("bytes=%d-%d", size-10, size+10), size - 10, size},
		{"behind the end", fmt.Sprintf("bytes=%d-", size), 0, 0},
	} {
		t.Run("range, "+tt.name, func(t *testing.T) {
			a := shared.get(t, signed, "Range: "+tt.header)
			if tt.end == 0 {
				if a.status != http.StatusRequestedRangeNotSatisfiable {
					t.Errorf("answers %d, want 416", a.status)
				}
				return
			}
			want := fmt.Sprintf("bytes %d-%d/%d", tt.first, tt.end-1, size)
			if a.status != http.StatusPartialContent || a.header.Get("Content-Range") != want {
				t.Errorf("answers %d, Content-Range %q, want 206 and %q", a.status, a.header.Get("Content-Range"), want)
			}
			if !bytes.Equal(a.body, whole[tt.first:tt.end]) {
				t.Errorf("%d bytes, or others than asked for", len(a.body))
			}
		})
	}
}

// checkResume has curl go on with a file that is there in part.
func checkResume(t *testing.T, address string, whole []byte) {
	t.Helper()
	for _, part := range []struct {
		name string
		size int
	}{{"the first byte", 1}, {"one half", len(whole) / 2}, {"all but a byte", len(whole) - 1}} {
		t.Run("curl resumes after "+part.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "users.csv.gz")
			curl := func(args ...string) {
				t.Helper()
				if out, code := runCommand(t, nil, "curl", append([]string{"-sS", "-f", "-L", "-o", path, address}, args...)...); code != 0 {
					t.Fatalf("curl %v: status %d\n%s", args, code, out)
				}
			}
			curl("-r", fmt.Sprintf("0-%d", part.size-1))
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole[:part.size]) {
				t.Fatalf("curl left %d bytes, want the first %d (%v)", len(got), part.size, err)
			}
			curl("-C", "-")
			if file, err := os.ReadFile(path); err != nil || !bytes.Equal(file, whole) {
				t.Fatalf("the file has %d bytes, or others than the %d of the whole (%v)", len(file), len(whole), err)
			}
			out, code := runCommand(t, nil, "gunzip", "-c", path)
			if want := shared.psql(t, reference); code != 0 || out != string(want) {
				t.Errorf("gunzip: status %d and %d bytes, want psql's %d bytes", code, len(out), len(want))
			}
		})
	}
}

// checkTampered changes a presigned URL of an export's file in every part.
func checkTampered(t *testing.T, signed string, s, other status) {
	t.Helper()
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	with := func(name, value string) string {
		changed, query := *u, u.Query()
		if query.Set(name, value); value == "" {
			query.Del(name)
		}
		changed.RawQuery = query.Encode()
		return changed.String()
	}
	if a := shared.get(t, with("X-Amz-Algorithm", u.Query().Get("X-Amz-Algorithm"))); a.status != http.StatusOK {
		t.Fatalf("the URL with its parameters in another order answers %d: the cases below would prove nothing", a.status)
	}
	signature := u.Query().Get("X-Amz-Signature")
	for _, tt := range []struct{ name, url string }{
		{"signature's first digit", with("X-Amz-Signature", otherDigit(signature[0])+signature[1:])},
		{"signature's last digit", with("X-Amz-Signature", signature[:63]+otherDigit(signature[63]))},
		{"no parameters", strings.TrimSuffix(signed, "?"+u.RawQuery)},
		{"a longer time", with("X-Amz-Expires", "604800")},
		{"a later date", with("X-Amz-Date", u.Query().Get("X-Amz-Date")[:8]+"T235959Z")}, // of the same day: another one's is a bad request
		{"another file name", with("response-content-disposition", `attachment; filename="invoice.exe"`)},
		{"no file name", with("response-content-disposition", "")},
		{"one more parameter", with("response-content-type", "text/html")},
		{"another export's key", strings.Replace(signed, s.ExportID, other.ExportID, 1)},
		{"another attempt's key", strings.Replace(signed, "/1.csv.gz", "/2.csv.gz", 1)},
		{"the folder", strings.Replace(signed, "/1.csv.gz", "/", 1)},
	} {
		t.Run("tampered, "+tt.name, func(t *testing.T) {
			if tt.url == signed {
				t.Fatal("nothing was changed")
			}
			if a := shared.get(t, tt.url); a.status != http.StatusForbidden {
				t.Errorf("answers %d, want 403\n%.300q", a.status, a.body)
			}
		})
	}
	t.Run("tampered, the method", func(t *testing.T) {
		if a := shared.request(t, http.MethodDelete, signed, ""); a.status != http.StatusForbidden {
			t.Errorf("answers %d, want 403", a.status)
		}
		if a := shared.get(t, signed); a.status != http.StatusOK {
			t.Errorf("the file itself answers %d", a.status)
		}
	})
}

func otherDigit(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

// checkExpires has a file expire in a few seconds. A URL never outlives its
// file, so it gets a short-lived one from the service.
func checkExpires(t *testing.T, s status) {
	at := time.Now().Add(4 * time.Second).UTC().Truncate(time.Millisecond)
	value := &dynamo.AttributeValueMemberS{Value: at.Format("2006-01-02T15:04:05.000Z")}
	shared.setItem(t, s.ExportID, "job", value, "expiresAt", "dueAt")
	path := "/exports/" + s.ExportID + "/download"
	signed := shared.get(t, path).header.Get("Location")
	if a := shared.get(t, signed); a.status != http.StatusOK {
		t.Fatalf("the URL answers %d before it expires\n%.300q", a.status, a.body)
	}
	var last answer
	eventually(t, 10*time.Second, "the URL expires", func() bool {
		last = shared.get(t, signed)
		return last.status != http.StatusOK
	})
	if last.status != http.StatusForbidden {
		t.Errorf("the expired URL answers %d, want 403\n%.300q", last.status, last.body)
	}
	eventually(t, 10*time.Second, "the file expires", func() bool { return time.Now().After(at) })
	checkProblem(t, shared.get(t, path), http.StatusGone, "gone")
	if a := shared.request(t, http.MethodHead, path, ""); a.status != http.StatusGone {
		t.Errorf("HEAD of an expired file answers %d, want 410", a.status)
	}
	shared.sweep(t) // or its status lags behind, for other tests
}
