// Package schedule fires the schedules of a template as EventBridge does.
package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"csvexport/infra/internal/template"
)

// Config is what Run needs.
type Config struct {
	Schedules []template.Schedule
	Region    string
	AccountID string
	// Invoke runs a function by its logical ID. The error is also that of a function that failed.
	Invoke func(ctx context.Context, function string, payload []byte) error
	// OnError is told of each firing that failed; it may be called from several goroutines at once.
	OnError func(template.Schedule, error)
}

// Run fires each schedule every Rate, the first time one Rate after the start,
// until ctx is done; then it returns as soon as the calls of Invoke have. A
// schedule never runs twice at the same time: what falls due meanwhile is
// fired once, late. A failure is reported and changes nothing else.
func Run(ctx context.Context, config Config) {
	var all sync.WaitGroup
	for _, s := range config.Schedules {
		all.Go(func() { config.run(ctx, s) })
	}
	all.Wait()
}

func (c Config) run(ctx context.Context, s template.Schedule) {
	ticker := time.NewTicker(s.Rate)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-ticker.C:
			if ctx.Err() != nil {
				return // both were ready
			}
			if err := c.fire(ctx, s, due); err != nil && ctx.Err() == nil {
				c.OnError(s, err)
			}
		}
	}
}

func (c Config) fire(ctx context.Context, s template.Schedule, due time.Time) error {
	payload := []byte(s.Input)
	if s.Input == "" {
		var err error
		if payload, err = json.Marshal(c.event(s, due)); err != nil {
			return fmt.Errorf("fire schedule %s: %w", s.Name, err)
		}
	}
	if err := c.Invoke(ctx, s.Function, payload); err != nil {
		return fmt.Errorf("fire schedule %s: %s: %w", s.Name, s.Function, err)
	}
	return nil
}

// event is EventBridge's own event for a schedule without Input. In that of
// EventBridge Scheduler detail is a text.
func (c Config) event(s template.Schedule, due time.Time) map[string]any {
	source, detail := "aws.events", any(struct{}{})
	if s.Scheduler {
		source, detail = "aws.scheduler", "{}"
	}
	return map[string]any{
		"version":     "0",
		"id":          uuid.NewString(),
		"detail-type": "Scheduled Event",
		"source":      source,
		"account":     c.AccountID,
		"time":        due.UTC().Format(time.RFC3339),
		"region":      c.Region,
		"resources":   []string{s.ARN},
		"detail":      detail,
	}
}
