package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"csvexport/infra/internal/schedule"
	"csvexport/infra/internal/template"
)

var sweep = template.Schedule{
	Function: "Sweep", Name: "every-minute", Rate: time.Minute, ARN: "arn:aws:scheduler:us-east-1:000000000000:schedule/default/every-minute",
	Scheduler: true,
}

// run runs schedules for a time with the given function; it returns the
// minutes, since the start, of the calls, their payloads and the errors.
func run(t *testing.T, schedules []template.Schedule, d time.Duration, function func(context.Context) error) (
	minutes []float64, payloads, failures []string,
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		schedule.Run(ctx, schedule.Config{
			Schedules: schedules, Region: "us-east-1", AccountID: "000000000000",
			Invoke: func(ctx context.Context, name string, payload []byte) error {
				if name != "Sweep" {
					t.Errorf("invoked %s", name)
				}
				minutes = append(minutes, time.Since(begin).Minutes())
				payloads = append(payloads, string(payload))
				return function(ctx)
			},
			OnError: func(_ template.Schedule, err error) { failures = append(failures, err.Error()) },
		})
	})
	return minutes, payloads, failures
}

func succeed(context.Context) error { return nil }

func TestRun_Rate(t *testing.T) {
	minutes, payloads, failures := run(t, []template.Schedule{sweep}, 3*time.Minute+time.Second, succeed)
	if len(minutes) != 3 || minutes[0] != 1 || minutes[1] != 2 || minutes[2] != 3 || failures != nil {
		t.Errorf("fired after %v minutes, want 1, 2 and 3; errors %v", minutes, failures)
	}
	var event events.CloudWatchEvent
	if err := json.Unmarshal([]byte(payloads[0]), &event); err != nil {
		t.Fatal(err)
	}
	if event.Source != "aws.scheduler" || event.DetailType != "Scheduled Event" || event.Resources[0] != sweep.ARN ||
		string(event.Detail) != `"{}"` || event.ID == "" || event.Time.IsZero() || event.Region != "us-east-1" {
		t.Errorf("event %s", payloads[0])
	}
	if payloads[0] == payloads[1] {
		t.Error("two events are the same")
	}
}

func TestRun_Payload(t *testing.T) {
	rule, given := sweep, sweep
	rule.Scheduler = false
	given.Input = `{"deep":true}`
	_, payloads, _ := run(t, []template.Schedule{rule}, 61*time.Second, succeed)
	if !strings.Contains(payloads[0], `"source":"aws.events"`) || !strings.Contains(payloads[0], `"detail":{}`) {
		t.Errorf("a rule's event %s", payloads[0])
	}
	_, payloads, _ = run(t, []template.Schedule{given}, 61*time.Second, succeed)
	if payloads[0] != given.Input {
		t.Errorf("payload %s, want the template's input", payloads[0])
	}
}

func TestRun_NeverTwiceAtOnce(t *testing.T) {
	running := 0
	minutes, _, _ := run(t, []template.Schedule{sweep}, 5*time.Minute, func(context.Context) error {
		if running++; running > 1 {
			t.Error("two at once")
		}
		time.Sleep(150 * time.Second)
		running--
		return nil
	})
	if len(minutes) != 2 || minutes[0] != 1 || minutes[1] != 3.5 {
		t.Errorf("fired after %v minutes, want 1 and 3.5", minutes)
	}
}

func TestRun_FailuresGoOn(t *testing.T) {
	calls := 0
	minutes, _, failures := run(t, []template.Schedule{sweep}, 150*time.Second, func(context.Context) error {
		if calls++; calls == 1 {
			return errors.New("host closed")
		}
		return errors.New("no table")
	})
	if len(minutes) != 2 || len(failures) != 2 || !strings.Contains(failures[0], "host closed") || !strings.Contains(failures[1], "no table") {
		t.Errorf("fired after %v minutes, errors %q", minutes, failures)
	}
}

func TestRun_EndInMidCall(t *testing.T) {
	minutes, _, failures := run(t, []template.Schedule{sweep}, 90*time.Second, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if len(minutes) != 1 || failures != nil {
		t.Errorf("fired after %v minutes, errors %q", minutes, failures)
	}
}
