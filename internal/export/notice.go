package export

import "time"

// NoticeLease is how long nobody else tells of an export while somebody does:
// longer than the function that tells may run.
const NoticeLease = 60 * time.Second

// NoticeGrace is how long after an export's end, and after the moment of a
// delivery, the sweeper waits for those who should have come by a message.
const NoticeGrace = time.Minute

// Notice says that an export came to its end - it was completed, failed or
// cancelled - and that there may be somebody who must still be told. It is
// recorded together with that end and stays until everybody was told, or given
// up.
type Notice struct {
	ExportID string
	Owner    string
	Status   Status    // Completed, Failed or Cancelled
	At       time.Time // of that status
	// Rev grows with every claim; whoever tells writes under the condition
	// that it hasn't.
	Rev int64
	// LeaseUntil is when another may claim a claimed notice; zero when nobody
	// holds it.
	LeaseUntil time.Time
	// Deliveries are what is still open, by its target's name; nil until the
	// first claim, which finds out who must be told.
	Deliveries map[string]Delivery
	Sends      int       // messages that the sweeper has sent since the last claim
	DueAt      time.Time // when the sweeper looks at it
}

// Delivery is what is open at one target.
type Delivery struct {
	Attempts int       // that were begun
	Next     time.Time // when the next one is due
}

// EventID names the event: the same each time that it is delivered, to whom
// ever. It holds no full stop, which the signature of a webhook is made with.
func (n Notice) EventID() string { return n.ExportID + "-" + string(n.Status) }

// Next is when the first of the open deliveries is due; the zero time if none
// is open.
func (n Notice) Next() time.Time {
	var next time.Time
	for _, d := range n.Deliveries {
		if next.IsZero() || d.Next.Before(next) {
			next = d.Next
		}
	}
	return next
}

// Webhook is an owner's registration: an address that is told of each of their
// exports that comes to its end.
type Webhook struct {
	ID          string // UUIDv7
	URL         string
	Description string
	Secret      string // whsec_ and the key in base64; see Standard Webhooks
	CreatedAt   time.Time
	// DisabledAt is when the receiver said that it is gone; zero while it is
	// enabled.
	DisabledAt  time.Time
	LastFailure *DeliveryFailure // of the last attempt that failed; nil for none
}

// DeliveryFailure is why an attempt to tell a webhook failed.
type DeliveryFailure struct {
	At      time.Time
	Message string
}

// MaxWebhooks is how many registrations an owner may have.
const MaxWebhooks = 10

// MaxWebhooksOfURL is how many of them may have the same URL: two, while one
// secret is being replaced by another.
const MaxWebhooksOfURL = 2
