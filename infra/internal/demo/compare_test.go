package demo_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"csvexport/infra/internal/demo"
)

// table is CSV of several blocks, so that differences may lie behind the first one.
func table() string {
	var b strings.Builder
	b.WriteString("id,name\n")
	for i := range 200_000 {
		b.WriteString(strings.Repeat("x", i%7) + ",row\n")
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	want := table()
	lines := strings.SplitAfter(want, "\n")
	changed := []byte(want)
	changed[700_000] ^= 1
	tests := map[string]struct {
		got        string
		diff, line int64
	}{
		"same":         {want, -1, 0},
		"changed byte": {string(changed), 700_000, 1 + int64(strings.Count(want[:700_000], "\n"))},
		"missing row":  {strings.Join(append(append([]string{}, lines[:9]...), lines[10:]...), ""), int64(len(strings.Join(lines[:9], ""))) + 1, 10},
		"missing end":  {want[:len(want)-1], int64(len(want)) - 1, 200_001},
		"extra end":    {want + "x", int64(len(want)), 200_002},
		"empty":        {"", 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := demo.Compare(strings.NewReader(want), iotest.HalfReader(strings.NewReader(tt.got)))
			if err != nil {
				t.Fatal(err)
			}
			if c.Equal() != (tt.diff < 0) || c.Diff != tt.diff || tt.diff >= 0 && c.DiffLine != tt.line {
				t.Errorf("equal %t, first difference at byte %d, line %d; want byte %d, line %d", c.Equal(), c.Diff, c.DiffLine, tt.diff, tt.line)
			}
			if same := c.Want.SHA256 == c.Got.SHA256; same != c.Equal() {
				t.Errorf("sums are the same: %t, streams are equal: %t", same, c.Equal())
			}
			if tt.got != "" && c.Header != "id,name" {
				t.Errorf("header %q", c.Header)
			}
		})
	}
}

func compressed(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestGunzip(t *testing.T) {
	whole := compressed(table())
	wrongSum := bytes.Clone(whole)
	wrongSum[len(wrongSum)-5] ^= 1 // in the trailer's length
	tests := map[string]struct {
		file []byte
		want string // part of the error; empty for none
	}{
		"one member":    {whole, ""},
		"two members":   {append(bytes.Clone(whole), whole...), "more than one member"},
		"one byte more": {append(bytes.Clone(whole), 0), "more than one member"},
		"cut off":       {whole[:len(whole)-1], "cut off"},
		"cut in half":   {whole[:len(whole)/2], "cut off"},
		"wrong sum":     {wrongSum, "checksum"},
		"plain":         {[]byte("id,name\n"), "not gzip"},
		"empty":         {nil, "not gzip"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := demo.Gunzip(bytes.NewReader(tt.file))
			if err == nil {
				_, err = demo.Compare(strings.NewReader(table()), r)
			}
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
