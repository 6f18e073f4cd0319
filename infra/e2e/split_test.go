package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// download is what the download route answers as JSON.
type download struct {
	URL       string      `json:"url"`
	ExpiresAt time.Time   `json:"expiresAt"`
	FileName  string      `json:"fileName"`
	Bytes     int         `json:"bytes"`
	Rows      int         `json:"rows"`
	Checksum  checksum    `json:"checksum"`
	Files     []splitFile `json:"files"` // of a split export
}

type splitFile struct {
	Number   int      `json:"number"`
	URL      string   `json:"url"`
	FileName string   `json:"fileName"`
	Bytes    int      `json:"bytes"`
	Rows     int      `json:"rows"`
	Checksum checksum `json:"checksum"`
}

// TestSplit has an export in files of so many rows, which are files of their
// own and psql's file together.
func TestSplit(t *testing.T) {
	shared.seed(t, smallRows)
	const most = smallRows/3 + 1
	request := fmt.Sprintf(`{"maxRowsPerFile":%d,"fileName":"all users.csv.gz"}`, most)
	s := shared.follow(t, shared.createWith(t, request), time.Minute, nil)
	if s.Status != "completed" || s.File.Name != "all users.manifest.json" || s.Files == nil || s.Files.Count != 3 || *s.Request.MaxRowsPerFile != most {
		t.Fatalf("status %+v, files %+v, request %+v", s, s.Files, s.Request)
	}
	path := "/exports/" + s.ExportID + "/download"
	var all download
	shared.get(t, path, "Accept: application/json").decode(t, http.StatusOK, "application/json", &all)
	if all.Rows != smallRows || all.FileName != s.File.Name || len(all.Files) != 3 {
		t.Fatalf("download %+v", all)
	}
	t.Run("files", func(t *testing.T) { checkSplitFiles(t, s, all) })
	t.Run("manifest", func(t *testing.T) { checkManifest(t, s, all) })
	t.Run("one file", func(t *testing.T) { checkSplitFile(t, path, all.Files[1]) })
	t.Run("wrong numbers", func(t *testing.T) {
		one := shared.follow(t, shared.create(t).ExportID, time.Minute, nil)
		for _, wrong := range []string{path + "?file=0", path + "?file=4", path + "?file=x", path + "?file=1&file=2", path + "?part=1", "/exports/" + one.ExportID + "/download?file=1"} {
			checkProblem(t, shared.get(t, wrong), http.StatusBadRequest, "invalid_request")
		}
	})
	t.Run("retry of a cancelled one", func(t *testing.T) { checkSplitRetry(t, request) })
	t.Run("delete", func(t *testing.T) {
		shared.remove(t, s.ExportID)
		if keys := shared.keys(t, s.ExportID); len(keys) != 0 {
			t.Errorf("these are left: %v", keys)
		}
		for _, file := range all.Files {
			if a := shared.get(t, file.URL); a.status != http.StatusNotFound {
				t.Errorf("the URL of a deleted file answers %d", a.status)
			}
		}
		checkProblem(t, shared.get(t, path+"?file=1"), http.StatusGone, "gone")
	})
}

// checkSplitFiles downloads all files and puts them together.
func checkSplitFiles(t *testing.T, s status, all download) {
	t.Helper()
	whole := shared.psql(t, reference)
	header, _, _ := bytes.Cut(whole, []byte("\n"))
	together := append(bytes.Clone(header), '\n')
	packed, plain := 0, 0
	for i, file := range all.Files {
		a := shared.get(t, file.URL)
		text := gunzip(t, a.body)
		if want := fmt.Sprintf("all users-%05d.csv.gz", i+1); file.FileName != want || a.header.Get("Content-Disposition") != `attachment; filename="`+want+`"` {
			t.Errorf("file %d is called %s and saved by %s", i+1, file.FileName, a.header.Get("Content-Disposition"))
		}
		rows, ok := bytes.CutPrefix(text, append(bytes.Clone(header), '\n'))
		if !ok {
			t.Fatalf("file %d doesn't begin with the header", i+1)
		}
		want := splitFile{Number: i + 1, URL: file.URL, FileName: file.FileName, Bytes: len(a.body), Rows: records(t, rows), Checksum: crc32Of(a.body)}
		if diff := cmp.Diff(want, file); diff != "" {
			t.Errorf("file %d (-want +got):\n%s", i+1, diff)
		}
		together = append(together, rows...)
		packed, plain = packed+len(a.body), plain+len(text)
	}
	if !bytes.Equal(together, whole) {
		t.Errorf("the files hold %d bytes together, psql's has %d", len(together), len(whole))
	}
	if s.Files.Bytes != packed || s.File.UncompressedBytes != plain {
		t.Errorf("the status says %d bytes, %d of CSV; there are %d and %d", s.Files.Bytes, s.File.UncompressedBytes, packed, plain)
	}
	if keys := shared.keys(t, s.ExportID); len(keys) != 4 {
		t.Errorf("there are the objects %v", keys)
	}
}

// records counts the rows of a CSV file; values may have line breaks.
func records(t *testing.T, text []byte) int {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// checkManifest reads the manifest by the redirect.
func checkManifest(t *testing.T, s status, all download) {
	t.Helper()
	a := shared.get(t, shared.get(t, "/exports/"+s.ExportID+"/download").header.Get("Location"))
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || len(a.body) != s.File.Bytes || crc32Of(a.body) != s.File.Checksum {
		t.Fatalf("the manifest answers %d %s with %d bytes, the status says %+v", a.status, a.header.Get("Content-Type"), len(a.body), s.File)
	}
	var m struct {
		Version        int       `json:"version"`
		ExportID       string    `json:"exportId"`
		AsOf           time.Time `json:"asOf"`
		Rows           int       `json:"rows"`
		Bytes          int       `json:"bytes"`
		MaxRowsPerFile int       `json:"maxRowsPerFile"`
		Files          []struct {
			Number   int      `json:"number"`
			Name     string   `json:"name"`
			Rows     int      `json:"rows"`
			Bytes    int      `json:"bytes"`
			Checksum checksum `json:"checksum"`
		} `json:"files"`
	}
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatal(err)
	}
	if m.Version != 1 || m.ExportID != s.ExportID || !m.AsOf.Equal(s.Consistency.AsOf) || m.Rows != smallRows || m.Bytes != s.Files.Bytes || len(m.Files) != len(all.Files) {
		t.Fatalf("manifest %+v", m)
	}
	for i, file := range m.Files {
		listed := all.Files[i]
		if file.Number != listed.Number || file.Name != listed.FileName || file.Rows != listed.Rows || file.Bytes != listed.Bytes || file.Checksum != listed.Checksum {
			t.Errorf("file %d is %+v in the manifest and %+v in the answer", i+1, file, listed)
		}
	}
}

// checkSplitFile asks for one file by its number, in each way.
func checkSplitFile(t *testing.T, path string, want splitFile) {
	t.Helper()
	target := fmt.Sprintf("%s?file=%d", path, want.Number)
	a := shared.get(t, shared.get(t, target).header.Get("Location"))
	if len(a.body) != want.Bytes || crc32Of(a.body) != want.Checksum {
		t.Errorf("the redirect leads to %d bytes, want %d", len(a.body), want.Bytes)
	}
	var one download
	shared.get(t, target, "Accept: application/json").decode(t, http.StatusOK, "application/json", &one)
	if one.FileName != want.FileName || one.Bytes != want.Bytes || one.Rows != want.Rows || one.Checksum != want.Checksum || one.Files != nil {
		t.Errorf("as JSON %+v, want %+v", one, want)
	}
	head := shared.request(t, http.MethodHead, target, "")
	got := []string{head.header.Get("X-Export-Bytes"), head.header.Get("X-Export-Rows"), head.header.Get("X-Amz-Checksum-Crc32"), head.header.Get("Content-Type")}
	if diff := cmp.Diff([]string{fmt.Sprint(want.Bytes), fmt.Sprint(want.Rows), want.Checksum.Value, "application/gzip"}, got); diff != "" {
		t.Errorf("HEAD (-want +got):\n%s", diff)
	}
}

// checkSplitRetry has a cancelled split export made anew: it is split as well.
func checkSplitRetry(t *testing.T, request string) {
	t.Helper()
	unlock := shared.lockUsers(t)
	id := shared.createWith(t, request)
	shared.remove(t, id)
	unlock()
	again := decodeStatus(t, shared.request(t, http.MethodPost, "/exports/"+id+"/retry", ""), http.StatusAccepted)
	if s := shared.follow(t, again.ExportID, time.Minute, nil); s.Files == nil || s.Files.Count != 3 {
		t.Errorf("the retry made %+v", s.Files)
	}
}
