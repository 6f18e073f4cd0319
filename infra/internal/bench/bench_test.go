package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/recorder"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i) // 100 to 1
	}
	tests := map[string]struct {
		values []time.Duration
		p      float64
		want   time.Duration
	}{
		"none":                 {nil, 50, 0},
		"one":                  {[]time.Duration{7}, 99, 7},
		"median of two":        {[]time.Duration{9, 3}, 50, 3},
		"median of three":      {[]time.Duration{9, 3, 5}, 50, 5},
		"p99 of three":         {[]time.Duration{9, 3, 5}, 99, 9},
		"median of a hundred":  {hundred, 50, 50},
		"p99 of a hundred":     {hundred, 99, 99},
		"longest of a hundred": {hundred, 100, 100},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Percentile(tt.values, tt.p); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
	if hundred[0] != 100 {
		t.Error("the values were sorted in place")
	}
}

func TestAttribute(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	// calls are pairs of milliseconds after the start of an invocation of 100 ms.
	tests := map[string]struct {
		calls   []int
		waiting int
	}{
		"none":               {nil, 0},
		"one":                {[]int{10, 30}, 20},
		"one after another":  {[]int{10, 30, 50, 60}, 30},
		"at the same time":   {[]int{10, 30, 20, 40}, 30},
		"one within another": {[]int{10, 50, 20, 30}, 40},
		"in another order":   {[]int{50, 60, 10, 30, 20, 40}, 40},
		"begun before it":    {[]int{-20, 10}, 10},
		"ended after it":     {[]int{90, 130}, 10},
		"before and after":   {[]int{-20, -10, 110, 120}, 0},
		"all of it":          {[]int{-10, 110}, 100},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var calls []recorder.Call
			for i := 0; i < len(tt.calls); i += 2 {
				at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
				calls = append(calls, recorder.Call{Begin: at(tt.calls[i]), End: at(tt.calls[i+1])})
			}
			got := Attribute(lambda.Report{Start: start, Duration: 100 * time.Millisecond}, calls)
			want := time.Duration(tt.waiting) * time.Millisecond
			if got.Waiting != want || got.Own() != 100*time.Millisecond-want || got.Calls != len(calls) {
				t.Errorf("waited %v, own %v, %d calls; want to wait %v", got.Waiting, got.Own(), got.Calls, want)
			}
		})
	}
}

// TestLoad has calls of a second each: the whole time tells how many were at work at once.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, inFlight = 50, 4
		begin := time.Now()
		took, err := load(t.Context(), inFlight, times(n), func(context.Context) error {
			time.Sleep(time.Second)
			return nil
		})
		if err != nil || len(took) != n || Percentile(took, 1) != time.Second || Percentile(took, 100) != time.Second {
			t.Errorf("durations %v, error %v; want %d of a second", took, err, n)
		}
		if elapsed := time.Since(begin); elapsed != 13*time.Second { // 50 / 4, rounded up
			t.Errorf("it took %v, want 13 s", elapsed)
		}
	})
}

func TestLoad_Ends(t *testing.T) {
	broken := errors.New("broken")
	if _, err := load(t.Context(), 4, func() bool { return true }, func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of a call", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	if _, err := load(ctx, 4, func() bool { return true }, func(context.Context) error {
		cancel(interrupted)
		return nil
	}); !errors.Is(err, interrupted) {
		t.Errorf("error %v, want the context's cause", err)
	}
}

func TestSection(t *testing.T) {
	const begin, end = "<!-- table: begin -->", "<!-- table: end -->"
	tests := map[string]struct {
		text string
		want string // empty: an error
	}{
		"empty":         {"# Title\n" + begin + "\n" + end + "\ntail\n", "# Title\n" + begin + "\n\nnew\n\n" + end + "\ntail\n"},
		"replaced":      {begin + "\n\nold\n\n" + end, begin + "\n\nnew\n\n" + end},
		"unchanged":     {begin + "\n\nnew\n\n" + end, begin + "\n\nnew\n\n" + end},
		"other section": {"<!-- other: begin -->\nold\n<!-- other: end -->\n" + begin + end, "<!-- other: begin -->\nold\n<!-- other: end -->\n" + begin + "\n\nnew\n\n" + end},
		"no markers":    {"# Title\n", ""},
		"no end":        {begin + "\n", ""},
		"twice":         {begin + end + begin + end, ""},
		"two begins":    {begin + begin + end, ""},
		"two ends":      {begin + end + end, ""},
		"upside down":   {end + begin, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "benchmarks.md")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := WriteSection(path, "table", "new\n")
			got, readErr := os.ReadFile(path)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if tt.want == "" {
				if err == nil || string(got) != tt.text {
					t.Errorf("error %v, file %q; want an error and the file as it was", err, got)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("error %v, file:\n%s\nwant:\n%s", err, got, tt.want)
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	text := Result{
		When: time.Date(2026, 11, 23, 23, 0, 0, 0, time.UTC), Rows: 1000,
		Lines: []Line{
			{Name: "quick", InFlight: 1, Target: ms(10), Warm: []Invocation{{Duration: ms(3)}}, Client: []time.Duration{ms(4)}},
			{Name: "slow", InFlight: 20, Target: ms(50), Warm: []Invocation{{Duration: ms(80), Waiting: ms(30), Calls: 2}}, Client: []time.Duration{ms(90)}},
			{Name: "aimless", InFlight: 20, Warm: []Invocation{{Duration: ms(80), Waiting: ms(30), Calls: 1}}, Client: []time.Duration{ms(90)}},
		},
		Cold: []ColdStarts{{Function: "F", Alone: lambda.Report{InitDuration: ms(8), Duration: ms(2)}, AtOnce: []lambda.Report{
			{InitDuration: ms(20), Duration: ms(5)}, {InitDuration: ms(40), Duration: ms(6)},
		}}},
		Memory: Memory{AloneMB: 42, Exports: 3, LimitMB: 1769},
	}.Markdown()
	for _, want := range []string{
		"2026-11-23, go",
		"| quick | 1 | 1 | 3.00 / 3.00 | under 10: met | none | 0.0 | 3.00 / 3.00 | 4.00 / 4.00 |",
		"| slow | 20 | 1 | 50 / 50 | under 50: **missed** | 30 / 30 | 2.0 | 80 / 80 | 90 / 90 |",
		"| aimless | 20 | 1 | 50 / 50 | none | 30 / 30 | 1.0 | 80 / 80 | 90 / 90 |",
		"| F | 8.00, 2.00 | 2 | 20 / 40 | 5.00 / 6.00 |",
		"| one export, fresh environment | 42 |",
		"| 3 exports at once, the largest | not known here |",
	} {
		if !strings.Contains(text, want+"\n") && !strings.HasPrefix(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
