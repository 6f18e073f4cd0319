package publish_test

import (
	"errors"
	"testing"

	"csvexport/internal/export"
	"csvexport/internal/publish"
	"csvexport/internal/servertest"
)

// What holds of a commit here holds in a destination: an answer that is lost, a
// request that is, and a worker that can't find out.
func TestPublisher_destination(t *testing.T) {
	for form, size := range sizes {
		t.Run(form, func(t *testing.T) {
			for name, test := range map[string]struct {
				fault  fault
				phase  export.Phase
				object bool
				code   export.Code // of the commit
			}{
				"undisturbed":  {none, "", true, ""},
				"answer lost":  {lostAnswer, "", true, ""},
				"request lost": {notReached, export.Finalizing, false, export.StorageUnavailable},
			} {
				t.Run(name, func(t *testing.T) {
					f := newFixture(t, test.fault)
					e, r, sealed := f.runningFor(t, size, &export.Destination{Name: "finance", Bucket: servertest.Bucket(t), Root: "csv/"})
					err := f.Commit(t.Context(), e, r, sealed)
					if test.code == "" && err != nil || test.code != "" && (export.CodeOf(err) != test.code || errors.Is(err, publish.ErrUnresolved)) {
						t.Errorf("error %v, want code %q", err, test.code)
					}
					status := export.Completed
					if test.phase != "" {
						status = export.Processing
					}
					f.want(t, e, status, test.phase, test.object)
					f.wantNoneHere(t, e)
				})
			}
			t.Run("not known", func(t *testing.T) {
				f := newFixture(t, noHead)
				e, r, sealed := f.runningFor(t, size, &export.Destination{Name: "finance", Bucket: servertest.Bucket(t), Root: "csv/"})
				if err := f.Commit(t.Context(), e, r, sealed); !errors.Is(err, publish.ErrUnresolved) {
					t.Errorf("error %v, want ErrUnresolved", err)
				}
				if err := f.resume(t, e); err != nil {
					t.Fatal(err)
				}
				f.want(t, e, export.Completed, "", true)
				f.wantNoneHere(t, e)
			})
		})
	}
}

// wantNoneHere checks that the service's own bucket has nothing under the key,
// and that the file stays where it is.
func (f fixture) wantNoneHere(t *testing.T, e export.Export) {
	t.Helper()
	if head, err := f.direct.For(export.Export{}).Head(t.Context(), e.Key(1)); err != nil || head.Exists {
		t.Errorf("an object here: %v (%v)", head.Exists, err)
	}
	if got, err := f.Jobs.Get(t.Context(), e.ID); err != nil || !got.ExpiresAt.IsZero() {
		t.Errorf("expires at %v (%v), want never", got.ExpiresAt, err)
	}
}
