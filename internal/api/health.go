package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"csvexport/internal/export"
)

const (
	// checkTimeout bounds one check of a deep health request.
	checkTimeout = 2 * time.Second
	// checkedFor is how long the result of the checks is given again: health
	// must not become load.
	checkedFor = 10 * time.Second
)

// Check asks one of the servers that the service needs whether it answers.
type Check struct {
	Name string
	Ping func(context.Context) error
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
}

func (h *Health) serve(w http.ResponseWriter, r *http.Request) error {
	deep := false
	if given, ok := r.URL.Query()["deep"]; ok {
		var err error
		if deep, err = strconv.ParseBool(given[0]); err != nil || len(given) > 1 {
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
	for i, result := range results {
		v := checkView{Status: "ok", Milliseconds: float64(result.took.Microseconds()) / 1000}
		if result.err != nil {
			v.Status = "down"
			down = append(down, h.Checks[i].Name)
			causes = append(causes, fmt.Errorf("%s: %w", h.Checks[i].Name, result.err))
		}
		answer.Checks[h.Checks[i].Name] = v
	}
	if len(down) > 0 {
		return &unhealthy{answer, &export.Error{
			Code: export.Unavailable, Message: "Not everything that the service needs answers: " + strings.Join(down, ", ") + ".",
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
	results := make([]result, len(h.Checks))
	var checks sync.WaitGroup
	for i, c := range h.Checks {
		checks.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			began := time.Now()
			err := c.Ping(ctx)
			results[i] = result{time.Since(began), err}
		})
	}
	checks.Wait()
	h.results, h.checkedAt = results, time.Now()
	return h.results, h.checkedAt
}
