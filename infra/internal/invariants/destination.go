package invariants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"csvexport/infra/internal/stack"
)

// destination is where an export's spec says that its file goes: a bucket that
// isn't the stack's, under ROOT PREFIX ID/.
type destination struct {
	Bucket string `json:"bucket"`
	Root   string `json:"root"`
	Prefix string `json:"prefix"`
}

// destination is the zero value for an export whose file stays here.
func (e Export) destination() (destination, error) {
	var spec struct {
		Destination destination `json:"destination"`
	}
	if err := json.Unmarshal([]byte(e.Spec), &spec); err != nil && e.Spec != "" {
		return destination{}, fmt.Errorf("spec of %s: %w", e.ID, err)
	}
	return spec.Destination, nil
}

// readDestinations adds what is there of those exports that go to one.
func readDestinations(ctx context.Context, state stack.State, exports []Export, found *files) error {
	for _, e := range exports {
		d, err := e.destination()
		if err != nil || d == (destination{}) {
			if err != nil {
				return err
			}
			continue
		}
		err = readBucket(ctx, state, d.Bucket, d.Root+d.Prefix+e.ID+"/", found)
		if _, missing := errors.AsType[*types.NoSuchBucket](err); err != nil && !missing {
			return err
		}
	}
	return nil
}

// checkPlace looks whether an export's object is in the bucket where it belongs.
func checkPlace(v *violations, e Export, key, bucket string, state stack.State) {
	want := state.Bucket
	if d, err := e.destination(); err == nil && d.Bucket != "" {
		want = d.Bucket
	}
	if bucket != want {
		v.add("object %s is in the bucket %s, its export belongs into %s", key, bucket, want)
	}
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// exportOf is the id in an object's key: exports/OWNER/ID/ATTEMPT.csv.gz, or
// that of a file of a split export, or one in a destination; empty for none.
func exportOf(key string) string {
	id, _ := splitKey(key)
	return id
}

// splitKey splits a key behind the export's id.
func splitKey(key string) (id, rest string) {
	names := strings.Split(key, "/")
	for i := len(names) - 2; i >= 0; i-- {
		if uuid.MatchString(names[i]) {
			return names[i], strings.Join(names[i+1:], "/")
		}
	}
	return "", key
}

// isPart reports whether key is that of a file of a split export.
func isPart(key string) bool {
	_, rest := splitKey(key)
	return strings.Contains(rest, "/")
}
