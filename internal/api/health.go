package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"csvexport/internal/export"
)

const (
	// checkTimeout bounds one check of a deep health request, with what comes
	// after it.
	checkTimeout = 2 * time.Second
	// checkedFor is how long the result of the checks is given again: health
	// must not become load.
	checkedFor = 10 * time.Second
)

// Check asks one of the servers that the service needs whether it answers. The
// message of an *export.Error is shown; no other error is.
type Check struct {
	Name string
	Ping func(context.Context) error
	// Then, if there is one, is asked after Ping has succeeded, so that the two
	// don't take two connections at the same time. It is down if Ping failed.
	Then *Check
}

// Health answers GET /health: the function runs; it asks nobody else. With
// ?deep=true it also says whether every server that the service needs
// answers, and how quickly; 503 if one doesn't. That is for owners only.
type Health struct {
	Checks []Check

	mu        sync.Mutex
	results   []result
	checkedAt time.Time
}

func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) { public(h.serve).ServeHTTP(w, r) }

type healthView struct {
	Status    string               `json:"status"`
	CheckedAt time.Time            `json:"checkedAt"`
	Checks    map[string]checkView `json:"checks"`
}

type checkView struct {
	Status       string  `json:"status"` // ok or down
	Milliseconds float64 `json:"milliseconds"`
	Message      string  `json:"message,omitempty"` // why it is down, where that may be shown
}

func (h *Health) serve(w http.ResponseWriter, r *http.Request) error {
	deep := false
	if given, ok := r.URL.Query()["deep"]; ok {
		if deep = given[0] == "true"; !deep && given[0] != "false" || len(given) > 1 {
			return invalid(export.FieldError{Field: "deep", Message: "must be true or false"})
		}
	}
	if !deep {
		return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}
	if err := authenticated(r); err != nil {
		return err
	}
	answer := healthView{Status: "ok", Checks: map[string]checkView{}}
	var down []string
	var causes []error
	results, at := h.check(r.Context())
	answer.CheckedAt = at.UTC().Truncate(time.Millisecond)
	for _, result := range results {
		v := checkView{Status: "ok", Milliseconds: float64(result.took.Microseconds()) / 1000}
		if result.err != nil {
			v.Status = "down"
			if e, ok := errors.AsType[*export.Error](result.err); ok {
				v.Message = e.Message
			}
			down = append(down, result.name)
			causes = append(causes, fmt.Errorf("%s: %w", result.name, result.err))
		}
		answer.Checks[result.name] = v
	}
	if len(down) > 0 {
		return &unhealthy{answer, &export.Error{
			Code: export.Unavailable, Message: "Not everything that the service needs is in order: " + strings.Join(down, ", ") + ".",
			Err: errors.Join(causes...),
		}}
	}
	return writeJSON(w, http.StatusOK, answer)
}

// unhealthy is the error of a deep health request; its problem document names
// the checks, too.
type unhealthy struct {
	health healthView
	err    *export.Error
}

func (e *unhealthy) Error() string { return e.err.Error() }
func (e *unhealthy) Unwrap() error { return e.err }

// result is what came of one check.
type result struct {
	name string
	took time.Duration
	err  error
}

// check runs all checks at the same time, unless it did so just before.
func (h *Health) check(ctx context.Context) ([]result, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.checkedAt) < checkedFor {
		return h.results, h.checkedAt
	}
	results := make([][]result, len(h.Checks))
	var checks sync.WaitGroup
	for i, c := range h.Checks {
		checks.Go(func() { results[i] = c.ask(ctx) })
	}
	checks.Wait()
	h.results, h.checkedAt = slices.Concat(results...), time.Now()
	return h.results, h.checkedAt
}

// ask asks c and what comes after it, one after the other.
func (c *Check) ask(ctx context.Context) (results []result) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var failed error
	for ; c != nil; c = c.Then {
		if failed != nil {
			results = append(results, result{name: c.Name, err: failed})
			continue
		}
		began := time.Now()
		err := c.Ping(ctx)
		results = append(results, result{c.Name, time.Since(began), err})
		if err != nil {
			failed = export.Errorf(export.Unavailable, "Not checked: %s is down.", c.Name)
		}
	}
	return results
}
