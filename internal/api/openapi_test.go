package api

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/export"
)

func readText(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// statusAndCode finds where openapi.yaml says which codes an answer has.
var statusAndCode = regexp.MustCompile(`status: \{ const: (\d+) \},?\s+code: \{ (?:const: (\w+)|enum: \[([\w, ]+)\]) \}`)

// The contract has each status with its codes that a handler or API Gateway
// can answer, and no other.
func TestContract_codes(t *testing.T) {
	answered := map[string]bool{}
	for code, answer := range statuses {
		answered[strconv.Itoa(answer.status)+" "+string(code)] = true
	}
	gateway := regexp.MustCompile(`"status":(\d+),[^{}]*?"code":"(\w+)"`)
	for _, match := range gateway.FindAllStringSubmatch(readText(t, "..", "..", "template.yaml"), -1) {
		answered[match[1]+" "+match[2]] = true
	}
	contract := readText(t, "openapi.yaml")
	documented := map[string]bool{}
	for _, match := range statusAndCode.FindAllStringSubmatch(contract, -1) {
		for code := range strings.SplitSeq(match[2]+match[3], ", ") {
			documented[match[1]+" "+code] = true
		}
	}
	if len(gateway.FindAllString(readText(t, "..", "..", "template.yaml"), -1)) < 10 {
		t.Error("the codes of template.yaml's gateway responses aren't found")
	}
	if diff := cmp.Diff(answered, documented); diff != "" {
		t.Errorf("statuses and codes (-answered +documented):\n%s", diff)
	}
	_, list, _ := strings.Cut(contract, "\n    ErrorCode:\n")
	codes := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^        - (\w+)$`).FindAllStringSubmatch(list, -1) {
		codes[match[1]] = true
	}
	known := map[string]bool{}
	for pair := range documented {
		_, code, _ := strings.Cut(pair, " ")
		known[code] = true
	}
	if diff := cmp.Diff(known, codes); diff != "" {
		t.Errorf("ErrorCode (-of the answers +listed):\n%s", diff)
	}
}

// The contract has each code that can end an export, and no other.
func TestContract_runCodes(t *testing.T) {
	var permanent []string
	for _, match := range regexp.MustCompile(`Code = "(\w+)"`).FindAllStringSubmatch(readText(t, "..", "export", "error.go"), -1) {
		if code := export.Code(match[1]); code.Permanent() && code != export.InvalidRequest { // a request is checked before it is an export
			permanent = append(permanent, match[1])
		}
	}
	_, field, _ := strings.Cut(readText(t, "openapi.yaml"), "\n        errorCode:\n")
	match := regexp.MustCompile(`enum: \[([\w, ]+), null\]`).FindStringSubmatch(field)
	if match == nil {
		t.Fatal("openapi.yaml lists no codes for errorCode")
	}
	documented := strings.Split(match[1], ", ")
	slices.Sort(permanent)
	slices.Sort(documented)
	if diff := cmp.Diff(permanent, documented); diff != "" {
		t.Errorf("codes of exports (-permanent +documented):\n%s", diff)
	}
}
