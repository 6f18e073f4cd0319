package sweeper

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"csvexport/internal/export"
	"csvexport/internal/queue"
)

// oldest is the age of the oldest end of which nobody began to tell.
type oldest struct {
	mu  sync.Mutex
	age time.Duration
}

func (o *oldest) add(age time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.age = max(o.age, age)
}

// remind sends a message for a notice that is due: its own was lost, whoever
// told died, or its next delivery is too far away for a message. A message too
// many is harmless; a missing one isn't, so it goes first.
func (s *Sweeper) remind(ctx context.Context, id string, untold *oldest) error {
	n, err := s.Jobs.Notice(ctx, id)
	now := time.Now()
	if err != nil || n.DueAt.After(now) {
		return ignore(err, export.NotFound)
	}
	if n.Rev == 0 {
		untold.add(now.Sub(n.At))
	}
	if err := s.Publisher.Notices.Send(ctx, n.Owner, queue.Message{ExportID: id}, 0); err != nil {
		return err
	}
	slog.InfoContext(ctx, "reminded of an end", "exportId", id, "owner", n.Owner, "status", n.Status, "sends", n.Sends+1)
	return ignore(s.Jobs.PostponeNotice(ctx, n, now.Add(pause(n.Sends))), export.Conflict)
}
