package eventsource

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// maxWaiting is how many messages a backlog holds before no more are received.
	maxWaiting = 1000
	// A tenant is noisy with more than noisyShare of all messages in flight, if
	// they are noisyInFlight at least, or of the recent processing time.
	noisyShare    = 0.1
	noisyInFlight = 30
	// recent is what SQS's manual calls so without a number.
	recent = 10 * time.Second
)

// backlog holds the messages that wait for a free function and chooses whose
// turn it is. It stands for SQS's fair queues, which the stand-in of SQS doesn't
// imitate, as the manual describes them (Amazon SQS Developer Guide, "How Amazon
// SQS fair queues work"): a tenant, all messages of one MessageGroupId, is noisy
// if it has a large share of what is in flight or of the recent processing time,
// until nothing of it waits any more. Messages of quiet tenants come first, in
// the order of arrival, then those of the noisy tenant with the fewest in
// flight. SQS chooses among all that it has; so messages are held here.
type backlog struct {
	waiting []held // in the order of arrival
	flying  []*spell
	landed  []*spell             // within the recent time
	drained map[string]time.Time // when the last of a tenant's messages that waited was handed out
}

// held is a message that was received and not handed out yet.
type held struct {
	types.Message
	received time.Time
	until    time.Time // then SQS delivers it again, and this one counts no more
}

// spell is the time in which a message is in flight.
type spell struct {
	tenant     string
	handle     *string
	begin, end time.Time
}

func newBacklog() *backlog { return &backlog{drained: map[string]time.Time{}} }

// tenantOf names a message's tenant. A message without a group is alone in its own.
func tenantOf(m types.Message) string {
	if group, ok := m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]; ok {
		return "group " + group
	}
	return "message " + aws.ToString(m.MessageId)
}

func (b *backlog) full() bool { return len(b.waiting) >= maxWaiting }

// add adds messages that were received at a time and stay out of sight for a while.
func (b *backlog) add(messages []types.Message, now time.Time, visibility time.Duration) {
	for _, m := range messages {
		b.waiting = append(b.waiting, held{Message: m, received: now, until: now.Add(visibility)})
	}
}

// next takes up to n messages out. They are in flight until land.
func (b *backlog) next(now time.Time, n int) []held {
	b.waiting = slices.DeleteFunc(b.waiting, func(h held) bool { return !now.Before(h.until) })
	var batch []held
	for len(batch) < n && len(b.waiting) > 0 {
		at := b.first(now)
		h := b.waiting[at]
		b.waiting = slices.Delete(b.waiting, at, at+1)
		tenant := tenantOf(h.Message)
		b.flying = append(b.flying, &spell{tenant: tenant, handle: h.ReceiptHandle, begin: now})
		if !slices.ContainsFunc(b.waiting, func(h held) bool { return tenantOf(h.Message) == tenant }) {
			b.drained[tenant] = now
		}
		batch = append(batch, h)
	}
	return batch
}

// first is the index of the message whose turn it is.
func (b *backlog) first(now time.Time) int {
	b.forget(now)
	inFlight := map[string]int{}
	for _, s := range b.flying {
		inFlight[s.tenant]++
	}
	noisy := b.noisy(now, inFlight)
	best := 0
	for i, h := range b.waiting {
		tenant := tenantOf(h.Message)
		if !noisy[tenant] {
			return i
		}
		if inFlight[tenant] < inFlight[tenantOf(b.waiting[best].Message)] {
			best = i
		}
	}
	return best
}

// noisy are the tenants that take more than their share.
func (b *backlog) noisy(now time.Time, inFlight map[string]int) map[string]bool {
	noisy := map[string]bool{}
	for tenant, n := range inFlight {
		if n >= noisyInFlight && float64(n) > noisyShare*float64(len(b.flying)) {
			noisy[tenant] = true
		}
	}
	var total time.Duration
	spent := map[string]time.Duration{}
	for _, s := range slices.Concat(b.flying, b.landed) {
		begin, end := s.begin, s.end
		if end.IsZero() {
			end = now
		}
		if from := now.Add(-recent); begin.Before(from) {
			begin = from
		}
		total += end.Sub(begin)
		if s.begin.After(b.drained[s.tenant]) {
			spent[s.tenant] += end.Sub(begin)
		}
	}
	for tenant, time := range spent {
		if float64(time) > noisyShare*float64(total) {
			noisy[tenant] = true
		}
	}
	return noisy
}

// land notes that a batch is in flight no more.
func (b *backlog) land(batch []held, now time.Time) {
	for _, h := range batch {
		at := slices.IndexFunc(b.flying, func(s *spell) bool { return s.handle == h.ReceiptHandle })
		b.flying[at].end = now
		b.landed = append(b.landed, b.flying[at])
		b.flying = slices.Delete(b.flying, at, at+1)
	}
}

// forget drops what isn't recent.
func (b *backlog) forget(now time.Time) {
	from := now.Add(-recent)
	b.landed = slices.DeleteFunc(b.landed, func(s *spell) bool { return s.end.Before(from) })
	for tenant, at := range b.drained {
		if at.Before(from) {
			delete(b.drained, tenant)
		}
	}
}
