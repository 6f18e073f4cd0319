package dataset_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"csvexport/internal/dataset"
)

// A setting names a file, an object in S3, or nothing; see s3file for the first two.
func TestLoad(t *testing.T) {
	const text = "datasets:\n  - {name: mine, relation: a.b, columns: [c]}\n"
	file := filepath.Join(t.TempDir(), "some.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("datasets:\n  - {name: A, relation: a.b}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ setting, first, says string }{
		{"", "users", ""},
		{file, "mine", ""},
		{"s3://b/some/key.yaml", "mine", ""},
		{"s3://b/missing", "", "read the datasets: no such key"},
		{file + "x", "", "no such file"},
		{wrong, "", "wrong.yaml:2: the dataset has no columns\nwrong.yaml:2: the name \"A\""},
	} {
		asked := ""
		c, err := dataset.Load(t.Context(), test.setting, func(_ context.Context, place string) ([]byte, error) {
			if !strings.HasPrefix(place, "s3://") {
				return os.ReadFile(place)
			}
			if asked = place; place != "s3://b/some/key.yaml" {
				return nil, errors.New("no such key")
			}
			return []byte(text), nil
		})
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: error %v, want %q", test.setting, err, test.says)
			}
			continue
		}
		if err != nil || c.Datasets()[0].Name != test.first {
			t.Errorf("%s: %v, error %v", test.setting, c, err)
		}
		if (asked != "") != strings.HasPrefix(test.setting, "s3://") || asked != "" && asked != "s3://b/some/key.yaml" {
			t.Errorf("%s: asked S3 for %q", test.setting, asked)
		}
	}
}
