package bucket_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/bucket"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
)

// wire stands before S3 and STS, and keeps who signed which request.
type wire struct {
	URL string

	mu      sync.Mutex
	assumed []url.Values // the requests to STS
	signers []string     // the access keys of those to S3, with + for a session's token
	answer  http.HandlerFunc
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		signer, _, _ := strings.Cut(scope, "/")
		target := os.Getenv("TEST_S3_URL")
		w.mu.Lock()
		if strings.Contains(scope, "/sts/") {
			target = os.Getenv("AWS_ENDPOINT_URL_STS")
		} else {
			if r.Header.Get("X-Amz-Security-Token") != "" {
				signer += "+"
			}
			w.signers = append(w.signers, signer)
		}
		answer := w.answer
		w.mu.Unlock()
		if target == os.Getenv("AWS_ENDPOINT_URL_STS") && answer != nil {
			answer(rw, r)
			return
		}
		to, err := url.Parse(target)
		if err != nil {
			t.Error(err)
			return
		}
		if to.String() == os.Getenv("AWS_ENDPOINT_URL_STS") {
			r.Body = w.keep(t, r)
		}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host
			p.Out.Host = p.In.Host // the signature covers it
		}}).ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

// keep notes the form of a request to STS, and returns its body once more.
func (w *wire) keep(t *testing.T, r *http.Request) *body {
	t.Helper()
	text := readAll(t, r.Body)
	form, err := url.ParseQuery(text)
	if err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.assumed = append(w.assumed, form)
	return &body{strings.NewReader(text)}
}

type body struct{ *strings.Reader }

func (*body) Close() error { return nil }

func delivered(name, role string) export.Export {
	return export.Export{ID: "0190-id", Owner: "anna", Token: "token", Spec: export.Spec{Destination: &export.Destination{
		Name: "finance", Bucket: name, Root: "csv/", Role: role, ExternalID: servertest.ExternalID,
	}}}
}

func write(ctx context.Context, t *testing.T, b *bucket.Bucket, e export.Export) error {
	t.Helper()
	u := b.NewUpload(ctx, bucket.Object{Key: e.Key(1), Token: e.Token}, func(context.Context, string) error { return nil })
	if _, err := u.Write([]byte("file")); err != nil {
		return err
	}
	sealed, err := u.Seal()
	if err != nil {
		return err
	}
	return b.Publish(ctx, sealed)
}

// What is done in a destination is done by its role, which is assumed once, with
// the external id and under the export's name; never by the service's own key.
func TestBuckets_role(t *testing.T) {
	w, name := newWire(t), servertest.Bucket(t)
	all := bucket.NewBuckets(servertest.AWSAt(t, w.URL), servertest.Bucket(t), "")
	e := delivered(name, servertest.Role)
	if err := all.For(e).Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := write(t.Context(), t, all.For(e), e); err != nil {
		t.Fatal(err)
	}
	if head, err := all.For(e).Head(t.Context(), "csv/0190-id/1.csv.gz"); err != nil || !head.Exists || head.Token != "token" {
		t.Errorf("%+v (%v)", head, err)
	}
	if len(w.assumed) != 1 {
		t.Fatalf("the role was assumed %d times, want once", len(w.assumed))
	}
	got := w.assumed[0]
	want := map[string]string{"RoleArn": servertest.Role, "RoleSessionName": "csvexport-0190-id", "ExternalId": servertest.ExternalID, "DurationSeconds": "3600"}
	for field, value := range want {
		if got.Get(field) != value {
			t.Errorf("%s is %q, want %q", field, got.Get(field), value)
		}
	}
	for _, signer := range w.signers {
		if !strings.HasPrefix(signer, "ASIA") || !strings.HasSuffix(signer, "+") {
			t.Errorf("a request to S3 was signed by %s, want the session", signer)
		}
	}
	if len(w.signers) != 3 {
		t.Errorf("%d requests to S3, want 3", len(w.signers))
	}
	until, err := all.For(e).SignedUntil(t.Context())
	if left := time.Until(until); err != nil || left < 55*time.Minute || left > time.Hour {
		t.Errorf("a URL lasts %v (%v), want about an hour", left, err)
	}
	// The service's own bucket goes on as itself.
	own := e
	own.Spec.Destination = nil
	if err := write(t.Context(), t, all.For(own), own); err != nil {
		t.Fatal(err)
	}
	if last := w.signers[len(w.signers)-1]; last != "test" || len(w.assumed) != 1 {
		t.Errorf("the own bucket's request was signed by %s", last)
	}
	if until, err := all.For(own).SignedUntil(t.Context()); err != nil || !until.IsZero() {
		t.Errorf("until %v (%v), want the zero time", until, err)
	}
}

// A URL that the session signs is good for whoever has it.
func TestBuckets_presign(t *testing.T) {
	e := delivered(servertest.Bucket(t), servertest.Role)
	there := bucket.NewBuckets(servertest.AWS(t), "own", os.Getenv("TEST_S3_URL")).For(e)
	if err := write(t.Context(), t, there, e); err != nil {
		t.Fatal(err)
	}
	link, err := there.PresignGet(t.Context(), e.Key(1), "a.csv.gz", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	if text := readAll(t, resp.Body); resp.StatusCode != http.StatusOK || text != "file" {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// What a destination refuses is told at once and by its name, without the
// cause; what may pass isn't taken for a refusal.
func TestBuckets_errors(t *testing.T) {
	refuse := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`<ErrorResponse><Error><Type>Sender</Type><Code>` + code + `</Code><Message>secret cause</Message></Error></ErrorResponse>`))
		}
	}
	for _, test := range []struct {
		name    string
		role    string
		answer  http.HandlerFunc
		missing bool
		code    export.Code
		says    string
	}{
		{"a role that trusts nobody here", servertest.ForeignRole, nil, false, export.StorageRejected, "The service may not use the role of the destination finance."},
		{"no such region", servertest.Role, refuse(403, "RegionDisabledException"), false, export.StorageRejected, "The service may not use the role of the destination finance."},
		{"no such bucket", servertest.Role, nil, true, export.StorageRejected, "The bucket of the destination finance doesn't exist."},
		{"no such bucket, own rights", "", nil, true, export.StorageRejected, "The bucket of the destination finance doesn't exist."},
		{"STS throttles", servertest.Role, refuse(400, "Throttling"), false, export.StorageUnavailable, "The destination finance can't be reached."},
		{"STS fails", servertest.Role, refuse(500, "InternalFailure"), false, export.StorageUnavailable, "The destination finance can't be reached."},
		{"STS breaks off", servertest.Role, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, export.StorageUnavailable, "The destination finance can't be reached."},
		{"own credentials over", servertest.Role, refuse(403, "ExpiredToken"), false, export.StorageUnavailable, "The destination finance can't be reached."},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, name := newWire(t), "nobody-has-this-bucket"
			if !test.missing {
				name = servertest.Bucket(t)
			}
			w.answer = test.answer
			e := delivered(name, test.role)
			there := bucket.NewBuckets(servertest.AWSAt(t, w.URL), "own", "").For(e)
			for doing, err := range map[string]error{"ready": there.Ready(t.Context()), "write": write(t.Context(), t, there, e)} {
				if diff := cmp.Diff([]any{test.code, test.says}, []any{export.CodeOf(err), export.MessageOf(err)}); diff != "" {
					t.Errorf("%s: %v (-want +got):\n%s", doing, err, diff)
				}
			}
			if _, err := there.Head(t.Context(), e.Key(1)); !test.missing && export.CodeOf(err) != export.StorageUnavailable {
				t.Errorf("head: %v: whether the file is there isn't known", err)
			}
		})
	}
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
