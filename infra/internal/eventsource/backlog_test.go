package eventsource

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
)

// messages makes one of each name, such as "a1", of the tenant that the letter names.
func messages(names ...string) (list []types.Message) {
	for _, name := range names {
		list = append(list, types.Message{
			MessageId: aws.String(name), ReceiptHandle: aws.String(name), Attributes: map[string]string{"MessageGroupId": name[:1]},
		})
	}
	return list
}

func names(batch []held) (list []string) {
	for _, h := range batch {
		list = append(list, *h.MessageId)
	}
	return list
}

// serve has a number of functions work on a backlog, each message for a second,
// and returns the messages in the order in which they were handed out.
func serve(b *backlog, now time.Time, functions int) (order []string) {
	for len(b.waiting) > 0 {
		batch := b.next(now, functions)
		order = append(order, names(batch)...)
		now = now.Add(time.Second)
		b.land(batch, now)
	}
	return order
}

// Two noisy tenants get no more than their share, 10 % each, while others wait
// who came later; nobody is noisy before something was processed.
func TestBacklog_quietFirst(t *testing.T) {
	b, now := newBacklog(), time.Now()
	var noisy []string
	for i := range 20 {
		noisy = append(noisy, fmt.Sprintf("A%d", i), fmt.Sprintf("B%d", i))
	}
	var quiet []string
	for i := range 20 {
		quiet = append(quiet, string(rune('a'+i))+"0", string(rune('a'+i))+"1")
	}
	b.add(messages(slices.Concat(noisy, quiet)...), now, time.Hour)
	order := serve(b, now, 3)
	if want := []string{"A0", "B0", "A1"}; !slices.Equal(order[:3], want) {
		t.Errorf("began with %v, want %v", order[:3], want)
	}
	if all := strings.Join(order[:50], ""); strings.Count(all, "A") > 10 || strings.Count(all, "B") > 10 { // 10 %, and up to three at a time
		t.Errorf("quiet tenants waited for noisy ones: %v", order)
	}
	if len(order) != 80 {
		t.Errorf("%d messages were handed out, want 80", len(order))
	}
}

// With nobody else there, or nobody noisy, the order is that of arrival.
func TestBacklog_arrival(t *testing.T) {
	alone := []string{"a1", "a2", "a3", "a4"}
	var many []string
	for i := range 24 {
		many = append(many, string(rune('a'+i))+"1")
	}
	for _, want := range [][]string{alone, many} {
		b, now := newBacklog(), time.Now()
		b.add(messages(want...), now, time.Hour)
		if diff := cmp.Diff(want, serve(b, now, 2)); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	}
}

// Among noisy tenants it is the turn of the one with the fewest in flight.
func TestBacklog_noisy(t *testing.T) {
	b, now := newBacklog(), time.Now()
	b.add(messages("a1", "a2", "a3", "b1", "b2", "b3"), now, time.Hour)
	long := b.next(now, 1) // a1, at work for long
	now = now.Add(time.Second)
	short := b.next(now, 1) // a is noisy, b isn't: b1
	now = now.Add(time.Second)
	b.land(short, now)
	if got := names(b.next(now, 4)); !slices.Equal(got, []string{"b2", "a2", "b3", "a3"}) {
		t.Errorf("with one of a in flight: %v", got)
	}
	b.land(long, now)
}

// Thirty messages in flight make a tenant noisy, however short they are.
func TestBacklog_inFlight(t *testing.T) {
	for _, tt := range []struct {
		before int
		want   string
	}{{30, "b1"}, {29, "a1"}} {
		b, now := newBacklog(), time.Now()
		b.add(messages(slices.Repeat([]string{"a0"}, tt.before)...), now, time.Hour)
		b.next(now, tt.before)
		b.add(messages("a1", "b1"), now, time.Hour)
		if got := names(b.next(now, 1)); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("with %d in flight: %v, want %s", tt.before, got, tt.want)
		}
	}
}

// What a tenant took counts for ten seconds, and not after its backlog was empty;
// nothing is kept of it.
func TestBacklog_forgets(t *testing.T) {
	work := func(b *backlog, now time.Time, names ...string) {
		b.add(messages(names...), now, time.Hour)
		b.land(b.next(now, 1), now.Add(time.Second))
	}
	for name, tt := range map[string]struct {
		before []string // the first of them is processed
		after  time.Duration
		want   string
	}{
		"noisy":            {[]string{"a1", "a2"}, 5 * time.Second, "b1"},
		"long after":       {[]string{"a1", "a2"}, 12 * time.Second, "a2"},
		"nothing was left": {[]string{"a1"}, 5 * time.Second, "a2"},
	} {
		t.Run(name, func(t *testing.T) {
			b, now := newBacklog(), time.Now()
			work(b, now, tt.before...)
			if len(tt.before) == 1 {
				b.add(messages("a2"), now, time.Hour)
			}
			b.add(messages("b1"), now, time.Hour)
			now = now.Add(tt.after)
			batch := b.next(now, 1)
			if got := names(batch); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("%v, want %s", got, tt.want)
			}
			b.land(batch, now)
			b.waiting = nil
			b.forget(now.Add(2 * time.Minute))
			if len(b.landed)+len(b.flying)+len(b.drained) != 0 {
				t.Errorf("remembers %v, %v, %v", b.landed, b.flying, b.drained)
			}
		})
	}
}

// A message whose visibility timeout is over is SQS's again.
func TestBacklog_expires(t *testing.T) {
	now := time.Now()
	b := newBacklog()
	b.add(messages("a1", "a2"), now, 10*time.Second)
	b.add(messages("a3"), now.Add(5*time.Second), 10*time.Second)
	if got := names(b.next(now.Add(10*time.Second), 3)); !slices.Equal(got, []string{"a3"}) {
		t.Errorf("handed out %v, want a3", got)
	}
}

func TestBacklog_ungrouped(t *testing.T) {
	now := time.Now()
	b := newBacklog()
	list := messages("x1", "x2", "a1", "x3")
	for _, i := range []int{0, 1, 3} {
		list[i].Attributes = nil
	}
	b.add(list, now, time.Hour)
	if diff := cmp.Diff([]string{"x1", "x2", "a1", "x3"}, serve(b, now, 1)); diff != "" {
		t.Errorf("messages of no group (-want +got):\n%s", diff)
	}
}

func TestBacklog_full(t *testing.T) {
	b := newBacklog()
	for i := 0; !b.full(); i++ {
		if i == 10*maxWaiting {
			t.Fatal("it holds any number of messages")
		}
		b.add(messages(fmt.Sprintf("a%d", i)), time.Now(), time.Hour)
	}
	if b.next(time.Now(), 1); b.full() {
		t.Error("full after one was handed out")
	}
}
