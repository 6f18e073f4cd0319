package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A crowd's requests: 200 at the same moment, of 20 owners.
const (
	quietOwners, quietCreates   = 17, 4
	noisyOwners, noisyCreates   = 3, 44 // more than an owner may have at once
	steadyOwners, steadyCreates = 3, 2  // whose exports run when the crowd comes
	crowdCreates                = quietOwners*quietCreates + noisyOwners*noisyCreates

	crowdPoll   = 500 * time.Millisecond
	crowdWithin = 5 * time.Minute  // for all exports of a crowd to end
	crowdPause  = 15 * time.Second // then the queue holds nothing against anybody any more
	waitTarget  = 2.0              // for the quiet owners' median wait, to that without the noisy ones
)

// CrowdConfig says where to send a crowd. The stack must deliver messages and
// have the template's own quotas.
type CrowdConfig struct {
	Config
	Token  func(owner string) (string, error) // signs an owner in
	Rounds int                                // each without the noisy owners, then with them
}

// CrowdResult is what came of the crowds.
type CrowdResult struct {
	When    time.Time
	Rows    int64 // of an export's table
	Rounds  int
	Answers map[int]int // to the 200 requests of all rounds, by HTTP status
	Create  Line        // these requests, at the function

	// What exports waited, from createdAt to startedAt.
	Alone, Quiet, Noisy []time.Duration
}

// Ratio is the quiet owners' median wait beside noisy ones, to that without them.
func (r CrowdResult) Ratio() float64 {
	return float64(Percentile(r.Quiet, 50)) / float64(max(Percentile(r.Alone, 50), 1))
}

// Fair says whether the ratio is as it must be.
func (r CrowdResult) Fair() bool { return r.Ratio() <= waitTarget }

type crowd struct {
	CrowdConfig
	client *client
}

// created is an export, and the token of its owner.
type created struct{ id, token string }

// Crowd has 20 owners, three of them noisy, send 200 creates at once while
// exports run, and the quiet ones alone, and compares what exports wait. The
// error tells of an answer that is neither 202 nor 429, of a quiet owner who was
// refused, and of an export that didn't complete.
func Crowd(ctx context.Context, cfg CrowdConfig) (CrowdResult, error) {
	c := &crowd{CrowdConfig: cfg, client: newClient(cfg.BaseURL, cfg.LambdaURL)}
	defer c.client.close()
	r := CrowdResult{
		Rounds: cfg.Rounds, Answers: map[int]int{},
		Create: Line{Name: "`POST /exports/csv`", InFlight: crowdCreates},
	}
	if err := c.warm(ctx); err != nil {
		return r, err
	}
	for round := range cfg.Rounds {
		fmt.Fprintf(c.Out, "round %d: %d quiet owners alone\n", round+1, quietOwners)
		quiet, _, err := c.burst(ctx, fmt.Sprintf("%d-alone", round), 0, nil)
		if err != nil {
			return r, err
		}
		r.Alone = append(r.Alone, quiet...)
		fmt.Fprintf(c.Out, "round %d: %d quiet and %d noisy owners, %d requests at once\n", round+1, quietOwners, noisyOwners, crowdCreates)
		quiet, noisy, err := c.burst(ctx, fmt.Sprintf("%d-crowd", round), noisyOwners, &r)
		if err != nil {
			return r, err
		}
		r.Quiet, r.Noisy = append(r.Quiet, quiet...), append(r.Noisy, noisy...)
	}
	return r, nil
}

// warm starts the environments of what a create needs.
func (c *crowd) warm(ctx context.Context) error {
	token, err := c.Token("warm")
	if err != nil {
		return err
	}
	_, err = load(ctx, InFlight, times(10*InFlight), func(ctx context.Context) error {
		code, text, err := c.client.as(token).ask(ctx, http.MethodPost, c.BaseURL+"/exports/csv", `{"validateOnly":true}`)
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("validateOnly answers %d: %s", code, text)
		}
		return err
	})
	return err
}

// burst has all owners create at the same moment, while the steady ones' exports
// run, and returns what the accepted exports waited when all are completed. The
// answers, and what the function took for them, go into measured if it isn't nil.
func (c *crowd) burst(ctx context.Context, name string, noisy int, measured *CrowdResult) (quietWaits, noisyWaits []time.Duration, err error) {
	select {
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	case <-time.After(crowdPause):
	}
	steady, err := c.create(ctx, name+"-steady", steadyOwners, steadyCreates)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.await(ctx, steady[:1], func(s crowdStatus) bool { return s.StartedAt != nil }); err != nil {
		return nil, nil, err
	}
	c.Recorder.Take()
	begin := time.Now()
	quietAsks, err := c.asks(name+"-quiet", quietOwners, quietCreates)
	if err != nil {
		return nil, nil, err
	}
	noisyAsks, err := c.asks(name+"-noisy", noisy, noisyCreates)
	if err != nil {
		return nil, nil, err
	}
	answers := c.atOnce(ctx, slices.Concat(quietAsks, noisyAsks))
	quietExports, err := accepted(answers[:len(quietAsks)], false)
	if err != nil {
		return nil, nil, err
	}
	noisyExports, err := accepted(answers[len(quietAsks):], true)
	if err != nil {
		return nil, nil, err
	}
	ends, err := c.await(ctx, slices.Concat(quietExports, noisyExports, steady), func(s crowdStatus) bool { return s.Done })
	if err != nil {
		return nil, nil, err
	}
	if measured != nil {
		if err := c.measure(ctx, begin, answers, measured); err != nil {
			return nil, nil, err
		}
	}
	if quietWaits, err = waits(quietExports, ends); err != nil {
		return nil, nil, err
	}
	noisyWaits, err = waits(noisyExports, ends)
	return quietWaits, noisyWaits, err
}

// measure notes the answers of a burst, and what the function took for them.
func (c *crowd) measure(ctx context.Context, begin time.Time, answers []answer, r *CrowdResult) error {
	reports, err := c.client.reports(ctx, createExport, begin)
	if err != nil {
		return err
	}
	r.Create.Warm = append(r.Create.Warm, warmOf(reports, c.Recorder.Take())...)
	for _, a := range answers {
		r.Answers[a.code]++
		r.Create.Client = append(r.Create.Client, a.took)
	}
	return nil
}

// answer is one to a create.
type answer struct {
	token string
	code  int
	text  []byte
	took  time.Duration
	err   error
}

// asks are tokens of a number of owners, each as often as the owner creates.
func (c *crowd) asks(name string, owners, creates int) (tokens []string, err error) {
	for i := range owners {
		token, err := c.Token(fmt.Sprintf("%s-%d", name, i))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, slices.Repeat([]string{token}, creates)...)
	}
	return tokens, nil
}

// atOnce sends a create for each token, all at the same moment.
func (c *crowd) atOnce(ctx context.Context, tokens []string) []answer {
	answers := make([]answer, len(tokens))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, token := range tokens {
		all.Go(func() {
			<-start
			begin := time.Now()
			code, text, err := c.client.as(token).ask(ctx, http.MethodPost, c.BaseURL+"/exports/csv", "{}")
			answers[i] = answer{token: token, code: code, text: text, took: time.Since(begin), err: err}
		})
	}
	close(start)
	all.Wait()
	return answers
}

// accepted are the exports of the answers. Only who is noisy may be refused, by a 429.
func accepted(answers []answer, noisy bool) (exports []created, err error) {
	for _, a := range answers {
		var s crowdStatus
		switch {
		case a.err != nil:
			return nil, a.err
		case a.code == http.StatusTooManyRequests && noisy:
		case a.code != http.StatusAccepted:
			return nil, fmt.Errorf("a create answers %d: %s", a.code, a.text)
		default:
			if err := json.Unmarshal(a.text, &s); err != nil {
				return nil, err
			}
			exports = append(exports, created{s.ExportID, a.token})
		}
	}
	return exports, nil
}

// create has owners create, all of which must be accepted.
func (c *crowd) create(ctx context.Context, name string, owners, creates int) ([]created, error) {
	tokens, err := c.asks(name, owners, creates)
	if err != nil {
		return nil, err
	}
	return accepted(c.atOnce(ctx, tokens), false)
}

// crowdStatus is the part of a status that tells an export's wait.
type crowdStatus struct {
	status
	CreatedAt time.Time  `json:"createdAt"`
	StartedAt *time.Time `json:"startedAt"`
}

// await waits until a condition holds for each export, and returns the statuses
// for which it did. The error is that of an export that failed.
func (c *crowd) await(ctx context.Context, exports []created, condition func(crowdStatus) bool) (map[created]crowdStatus, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, crowdWithin, fmt.Errorf("the exports take longer than %v", crowdWithin))
	defer cancel()
	met := map[created]crowdStatus{}
	return met, every(ctx, crowdPoll, func() (bool, error) {
		for _, e := range exports {
			if _, yes := met[e]; yes {
				continue
			}
			var s crowdStatus
			if err := c.client.as(e.token).call(ctx, http.MethodGet, c.BaseURL+"/exports/"+e.id+"/status", http.StatusOK, &s); err != nil {
				return false, err
			}
			if s.Done && s.Status != "completed" {
				return false, fmt.Errorf("export %s is %s", s.ExportID, s.Status)
			}
			if condition(s) {
				met[e] = s
			}
		}
		return len(met) == len(exports), nil
	})
}

// waits are what completed exports waited.
func waits(exports []created, ends map[created]crowdStatus) (list []time.Duration, err error) {
	for _, e := range exports {
		s := ends[e]
		if s.StartedAt == nil {
			return nil, fmt.Errorf("export %s is %s and never began", e.id, s.Status)
		}
		list = append(list, s.StartedAt.Sub(s.CreatedAt))
	}
	return list, nil
}
