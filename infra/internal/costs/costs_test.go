package costs

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"csvexport/infra/internal/bench"
	"csvexport/infra/internal/wire"
)

func TestUnits(t *testing.T) {
	sizes := map[string]int{"job": 1500, "run": 300, "quota": 80, "part": 5000}
	for _, test := range []struct {
		name, operation, body string
		reads, writes         float64
	}{
		{"a beat", "UpdateItem", `{"Key":{"pk":{"S":"export#1"},"sk":{"S":"run"}}}`, 0, 1},
		{"a job, with its three indexes", "UpdateItem", `{"Key":{"pk":{"S":"export#1"},"sk":{"S":"job"}}}`, 0, 2 + 4},
		{"what isn't there yet", "PutItem", `{"Item":{"pk":{"S":"idem#1"},"sk":{"S":"idem"},"id":{"S":"1"}}}`, 0, 1},
		{"numbered, of 5,000 bytes", "PutItem", `{"Item":{"pk":{"S":"export#1"},"sk":{"S":"part#1#00002"}}}`, 0, 5},
		{
			"a transaction: twice the run, the job and a check", "TransactWriteItems",
			`{"TransactItems":[{"Update":{"Key":{"sk":{"S":"run"}}}},{"Put":{"Item":{"sk":{"S":"job"}}}},{"ConditionCheck":{"Key":{"sk":{"S":"quota"}}}}]}`, 0, 2 * (1 + 6 + 1),
		},
		{"job and run, consistently", "BatchGetItem", `{"RequestItems":{"t":{"ConsistentRead":true,"Keys":[{"sk":{"S":"job"}},{"sk":{"S":"run"}}]}}}`, 2, 0},
		{"the same, as they may have been", "BatchGetItem", `{"RequestItems":{"t":{"Keys":[{"sk":{"S":"job"}},{"sk":{"S":"run"}}]}}}`, 1, 0},
		{"5,000 bytes", "GetItem", `{"ConsistentRead":true,"Key":{"sk":{"S":"part#1#00001"}}}`, 2, 0},
		{"an index", "Query", `{"IndexName":"by-due-time"}`, 0.5, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			reads, writes, err := units(test.operation, test.body, sizes)
			if err != nil || reads != test.reads || writes != test.writes {
				t.Errorf("%v reads, %v writes, error %v; want %v, %v", reads, writes, err, test.reads, test.writes)
			}
		})
	}
	if _, _, err := units("ExecuteStatement", `{}`, nil); err == nil {
		t.Error("no error for an operation whose price isn't known")
	}
}

func TestItemSize(t *testing.T) {
	item := map[string]types.AttributeValue{
		"pk":    &types.AttributeValueMemberS{Value: "export#12345"},                                                                         // 2 + 12
		"fence": &types.AttributeValueMemberN{Value: "1234"},                                                                                 // 5 + 4
		"done":  &types.AttributeValueMemberBOOL{},                                                                                           // 4 + 1
		"spec":  &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"table": &types.AttributeValueMemberS{Value: "usérs"}}}, // 4 + 3 + 1 + 5 + 6
	}
	if got := itemSize(item); got != 14+9+5+19 {
		t.Errorf("%d bytes, want 47", got)
	}
}

// A thousand parts of 8 MiB, a hundred of 9, and so on.
func TestParts(t *testing.T) {
	const mib = 1 << 20
	for bytes, want := range map[float64]float64{
		0: 1, 1: 1, 8 * mib: 1, 8*mib + 1: 2, 8000 * mib: 1000, 8000*mib + 1: 1001, 8900 * mib: 1100, 8900*mib + 10*mib: 1101, 8900*mib + 10*mib + 1: 1102,
	} {
		if got := parts(bytes); got != want {
			t.Errorf("%.0f bytes are %v parts, want %v", bytes, got, want)
		}
	}
}

func TestBill(t *testing.T) {
	calls := []wire.Call{
		{Service: wire.S3, Operation: "CreateMultipartUpload", Function: "run-export"},
		{Service: wire.S3, Operation: "UploadPart", Function: "run-export"},
		{Service: wire.S3, Operation: "AbortMultipartUpload", Function: "run-export"},
		{Service: wire.S3, Operation: "HeadObject", Function: "run-export"},
		{Service: wire.SQS, Operation: "SendMessage", Function: "create-export"},
		{Service: wire.DynamoDB, Operation: "UpdateItem", Function: "run-export", Body: `{"Key":{"sk":{"S":"run"}}}`},
	}
	got, err := bill(calls, nil)
	if err != nil {
		t.Fatal(err)
	}
	if u := got["run-export"]; u.puts != 2 || u.gets != 1 || u.writes != 1 || u.sends != 0 {
		t.Errorf("run-export: %+v", u)
	}
	if u := got["create-export"]; u.sends != 1 {
		t.Errorf("create-export: %+v", u)
	}
}

// two are runs as the service makes them: 0.5 s and one part; 5.5 s and 20 parts.
func two() (small, large Run) {
	small = Run{
		Rows: 100_000, Seconds: 0.5, FileBytes: 3 << 20, MemoryMB: 1024, polls: 4,
		uses: map[string]use{
			runExport: {writes: 50, reads: 2, sends: 1, puts: 1, gets: 1}, "create-export": {writes: 16, sends: 1}, "get-export": {reads: 8},
			"download-export": {reads: 2}, "notify": {reads: 4, writes: 2},
		},
		milliseconds: map[string]float64{"create-export": 5, "get-export": 4, "download-export": 3, "authorize": 2, "notify": 16},
		logBytes:     map[string]int64{runExport: 3000, "create-export": 1000, "get-export": 3000, "authorize": 1800},
	}
	large = Run{Rows: 5_000_000, Seconds: 5.5, FileBytes: 150 << 20, uses: map[string]use{runExport: {writes: 55, reads: 2, sends: 1, puts: 21, gets: 1}}}
	return small, large
}

func TestCheck(t *testing.T) {
	small, large := two()
	if err := check(small, large); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*use){
		"a write each 100 ms": func(u *use) { u.writes += 50 },
		"a HEAD each part":    func(u *use) { u.gets += 19 },
		"parts of 5 MiB":      func(u *use) { u.puts += 11 },
	} {
		_, large := two()
		u := large.uses[runExport]
		change(&u)
		large.uses[runExport] = u
		if err := check(small, large); err == nil {
			t.Errorf("%s: the rule still holds", name)
		}
	}
}

// The bill of 10 million rows, worked out by hand.
func TestExport(t *testing.T) {
	small, large := two()
	e := estimateOf(10_000_000, small, large)
	// 11 s: 1 + 3 polls; 300 MiB in 38 parts; 11 beats beside the 50 of a run without.
	want := map[string]float64{
		"`run-export`, compute":               11 * 0.0000133334,
		"functions, requests":                 (1 + 1 + 4 + 1 + 6 + 1) * 0.2 / 1e6, // run, create, polls, download, authorizer, notify
		"API calls: create, status, download": (1 + 4 + 1) * 3.5 / 1e6,
		"DynamoDB writes":                     (50 + 11 + 16 + 2) * 0.625 / 1e6,
		"DynamoDB reads":                      (2 + 4*2 + 2 + 4) * 0.125 / 1e6,
		"SQS requests":                        2 * 3 * 0.4 / 1e6,
		"S3: PUT and the like":                40 * 0.005 / 1000,
		"S3: GET and the like":                1 * 0.0004 / 1000,
		"S3: the file for seven days":         300.0 / 1024 * 168 / 730 * 0.023,
		"event on the bus":                    1 / 1e6,
		"logs":                                (3000 + 1000 + 3000 + 1800) / float64(1<<30) * 0.5,
	}
	sum := 0.0
	for _, l := range e.export(small.MemoryMB) {
		sum += l.dollars()
		if dollars, there := want[l.what]; there && math.Abs(l.dollars()-dollars) > 1e-9 {
			t.Errorf("%s: $%.9f for %v, want $%.9f", l.what, l.dollars(), l.units, dollars)
		}
		delete(want, l.what)
	}
	if len(want) > 0 {
		t.Errorf("the bill lacks %v", want)
	}
	if total(e.export(small.MemoryMB)) != sum || e.pieces != 1 {
		t.Errorf("in all $%v, %d exports", total(e.export(small.MemoryMB)), e.pieces)
	}
	if e := estimateOf(1_000_000_000, small, large); e.pieces != 2 { // 1,100 s of 840
		t.Errorf("a billion rows in %d exports, want 2", e.pieces)
	}
}

func TestIdle(t *testing.T) {
	lines := Idle{milliseconds: 10, use: use{reads: 1}, logBytes: 1000, metrics: 2}.idle(Standing{Alarms: 15, Metrics: 18, Queues: 3})
	want := map[string]float64{
		"`sweep`, requests": 43_800 * 0.2 / 1e6, "schedule": 0.0438, "Lambda's polling of the queues": 1_971_000 * 0.4 / 1e6, "metrics": 0.6, "alarms": 1.5, "dashboard": 3,
	}
	for _, l := range lines {
		if dollars, there := want[l.what]; there && math.Abs(l.dollars()-dollars) > 1e-6 {
			t.Errorf("%s: $%v, want $%v", l.what, l.dollars(), dollars)
		}
		delete(want, l.what)
	}
	if len(want) > 0 {
		t.Errorf("the bill lacks %v", want)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.28: "0.28", 0.00000893: "0.00000893", 12: "12", 999.4: "999", 1971000: "1,971,000", 1000: "1,000"} {
		if got := count(n); got != want {
			t.Errorf("count(%v) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0", 0.0000064: "0.0000064", 0.123: "0.12", 1.5: "1.50", 32.849: "32.85"} {
		if got := dollars(n); got != want {
			t.Errorf("dollars(%v) = %s, want %s", n, got, want)
		}
	}
}

// docs/deploy.md has what the calculator writes: the prices of the code, and
// what the template has now. If it fails, run make costs.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bench.Section(string(text), "costs", ""); err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "<!-- costs: begin -->")
	for _, p := range allPrices {
		if !strings.Contains(section, p.row()) {
			t.Errorf("docs/deploy.md lacks the price\n%s", p.row())
		}
	}
	template, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	declared := Declared(string(template))
	if declared.Queues != 3 || declared.Metrics < 10 {
		t.Errorf("of the template: %+v", declared)
	}
	for _, l := range (Idle{}).idle(declared) {
		if l.price == alarm || l.what == "Lambda's polling of the queues" {
			if row := "| " + l.what + " | " + quantity(l) + " | "; !strings.Contains(section, row) {
				t.Errorf("docs/deploy.md lacks %q", row)
			}
		}
	}
}
