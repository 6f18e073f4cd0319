package sweeper

import (
	"context"
	"log/slog"
	"time"

	"csvexport/internal/export"
)

// Somebody else's bucket may answer slowly, or never, and many exports may have
// gone there: that must cost the repair of all others little.
const (
	// awayAtOnce is how many of the atOnce repairs may be in destinations.
	awayAtOnce = atOnce / 2
	// awayTimeout bounds what one repair does there.
	awayTimeout = 10 * time.Second
	// minAway and maxAway bound how long after a look in vain there is another;
	// in between, it is as long as the export has been done.
	minAway = time.Minute
	maxAway = time.Hour
)

// away has do work on e's files, on a context that is bounded where they are
// in a destination. While many others are at that, it is left to the next
// sweep.
func (s *Sweeper) away(ctx context.Context, e export.Export, do func(ctx context.Context) error) error {
	if e.Spec.Destination == nil {
		return do(ctx)
	}
	defer s.inDestinations.Add(-1)
	if s.inDestinations.Add(1) > awayAtOnce {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, awayTimeout)
	defer cancel()
	return do(ctx)
}

// blames logs err, and reports true, if it is a destination that doesn't do as
// it should: that is its owner's to mend, and no failure of the sweep.
func blames(ctx context.Context, log *slog.Logger, e export.Export, err error) bool {
	code := export.CodeOf(err)
	if e.Spec.Destination == nil || code != export.StorageRejected && code != export.StorageUnavailable {
		return false
	}
	log.WarnContext(ctx, "destination not looked at, will be tried again", "destination", e.Spec.Destination.Name, "code", code, "error", err)
	return true
}

// afterVain is when to look again for what an export that is done has left in a
// destination.
func afterVain(e export.Export, now time.Time) time.Time {
	return now.Add(min(max(now.Sub(e.CompletedAt), minAway), maxAway))
}
