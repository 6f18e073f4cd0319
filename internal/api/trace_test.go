package api_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"csvexport/internal/api"
	"csvexport/internal/bucket"
	"csvexport/internal/dataset"
	"csvexport/internal/queue"
	"csvexport/internal/servertest"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00f067aa0ba902b7"
	noTrace = "00000000000000000000000000000000"
)

// A request's trace is its caller's if that is valid, else API Gateway's, else
// a new one; the request's line of the log has it.
func TestTrace(t *testing.T) {
	w3c, xray := "00-"+traceID+"-"+parent+"-01", "Root=1-5759e988-bd862e3fe1be46a994272793"
	own, gateways, fresh := "^"+w3c+"$", `^00-5759e988bd862e3fe1be46a994272793-[0-9a-f]{16}-01$`, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`
	h := &api.CreateExport{Catalog: dataset.Default()} // validateOnly asks nobody
	log := servertest.Log(t)
	seen := map[any]bool{}
	for name, test := range map[string]struct {
		traceparent []string
		xray        string
		want        string
	}{
		"the caller's":                  {[]string{w3c}, xray, own},
		"the caller's, not sampled":     {[]string{"00-" + traceID + "-" + parent + "-00"}, "", "^00-" + traceID + "-" + parent + "-00$"},
		"of a later version":            {[]string{"cc-" + traceID + "-" + parent + "-01-what-comes"}, "", own},
		"API Gateway's":                 {nil, xray, gateways},
		"API Gateway's, with its parts": {nil, "Self=1-67891234-12456789abcdef012345678;" + xray + ";Parent=53995c3f42cd8ad8;Sampled=1", gateways},
		"none":                          {nil, "", fresh},
		"none, the second time":         {nil, "", fresh},
		"no trace in X-Ray's header":    {nil, "Sampled=0", fresh},
		"X-Ray's of zeros":              {nil, "Root=1-00000000-" + noTrace[:24], fresh},
		"trace of zeros":                {[]string{"00-" + noTrace + "-" + parent + "-01"}, xray, gateways},
		"parent of zeros":               {[]string{"00-" + traceID + "-" + noTrace[:16] + "-01"}, xray, gateways},
		"version ff":                    {[]string{"ff" + w3c[2:]}, xray, gateways},
		"version 00, longer":            {[]string{w3c + "-more"}, xray, gateways},
		"upper case":                    {[]string{strings.ToUpper(w3c)}, xray, gateways},
		"two headers":                   {[]string{w3c, w3c}, xray, gateways},
		"a line of the caller's own":    {[]string{w3c + "\nlevel=ERROR"}, xray, gateways},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"validateOnly":true}`))
		r.Header.Set("Content-Type", "application/json")
		if test.traceparent != nil {
			r.Header["Traceparent"] = test.traceparent
		}
		if test.xray != "" {
			r.Header.Set("X-Amzn-Trace-Id", test.xray)
		}
		serve(t, h, r.WithContext(api.WithCaller(r.Context(), anna)))
		lines := log()
		if len(lines) != 1 || lines[0]["msg"] != "request" {
			t.Fatalf("%s: lines %v", name, lines)
		}
		got, _ := lines[0]["traceparent"].(string)
		if noTrace := strings.Contains(got, noTrace); noTrace || !regexp.MustCompile(test.want).MatchString(got) {
			t.Errorf("%s: trace %q, want %s", name, got, test.want)
		}
		if test.want == fresh && seen[got] {
			t.Errorf("%s: the trace %s a second time", name, got)
		}
		seen[got] = true
	}
}

// One trace leads from a create to its message; a retry has its own request's,
// and what is done later to an export has the export's.
func TestTrace_export(t *testing.T) {
	f := newFixture(t)
	cfg, queueURL := servertest.AWS(t), servertest.Queue(t)
	f.create.Queue = queue.New(cfg, queueURL)
	remove := &api.DeleteExport{Jobs: f.jobs, Buckets: bucket.NewBuckets(cfg, servertest.Bucket(t), ""), Notices: queue.New(cfg, servertest.Queue(t)), FileTTL: time.Hour}
	log := servertest.Log(t)
	as := func(h http.Handler, method, id, trace string) (string, []map[string]any) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
		r.SetPathValue("id", id)
		r.Header.Set("Traceparent", trace)
		_, answer := serve(t, h, r.WithContext(api.WithCaller(r.Context(), anna)))
		made, _ := answer["exportId"].(string)
		return made, log()
	}
	want := func(doing string, lines []map[string]any, want map[string]string) {
		t.Helper()
		for _, line := range lines {
			if msg, _ := line["msg"].(string); want[msg] != "" && line["traceparent"] != want[msg] {
				t.Errorf("%s: the line %q has the trace %v, want %s", doing, msg, line["traceparent"], want[msg])
			}
		}
	}
	first, second, third := "00-"+traceID+"-"+parent+"-01", "00-"+traceID+"-"+parent[8:]+parent[:8]+"-01", "00-"+traceID+"-"+parent[4:]+parent[:4]+"-01"
	id, lines := as(f.create, http.MethodPost, "", first)
	want("create", lines, map[string]string{"request": first, "audit": first})
	_, lines = as(remove, http.MethodDelete, id, second)
	want("delete", lines, map[string]string{"request": second, "audit": first, "export cancelled": first})
	servertest.WantMetrics(t, lines, map[string]float64{"ExportsCancelled": 1})
	_, lines = as(remove, http.MethodDelete, id, second) // it is cancelled already
	servertest.WantMetrics(t, lines, map[string]float64{})
	again, lines := as((*api.RetryExport)(f.create), http.MethodPost, id, third)
	want("retry", lines, map[string]string{"request": third, "audit": third})
	for id, want := range map[string]string{id: first, again: third} {
		if e, err := f.jobs.Get(t.Context(), id); err != nil || e.Traceparent != want {
			t.Errorf("the record of %q has the trace %q (%v), want %s", id, e.Traceparent, err, want)
		}
	}
	sent := map[string]string{}
	for range 2 {
		out, err := sqs.NewFromConfig(cfg).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queueURL, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range out.Messages {
			m, err := queue.Decode(*message.Body)
			if err != nil {
				t.Fatal(err)
			}
			sent[m.ExportID] = m.Traceparent
		}
	}
	if sent[id] != first || sent[again] != third {
		t.Errorf("messages' traces %v", sent)
	}
}
