package faults

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"csvexport/infra/internal/invariants"
	"csvexport/infra/internal/link"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/stack"
	"csvexport/infra/internal/wire"
)

// sweepEvery is how often the sweep is invoked, beside its schedule: what it
// repairs is repaired as soon as it is due.
const sweepEvery = 2 * time.Second

// Suite is a stack with proxies before everything that its functions talk to.
// Intercept and InterceptDatabase are for the stack's configuration; Start
// follows when it runs.
type Suite struct {
	Log   io.Writer
	Token func(subject string) (string, error) // signs an owner in

	stack    *stack.Stack
	wire     *wire.Wire
	database *link.Link
	client   *http.Client
	stop     context.CancelFunc
	sweeps   sync.WaitGroup

	mu       sync.Mutex
	contents map[string]invariants.Content // by table
	heard    map[string][]string           // ids of the events on the bus, by export
}

// New returns a suite whose stack doesn't run yet.
func New(log io.Writer, token func(subject string) (string, error)) *Suite {
	return &Suite{
		Log: log, Token: token, wire: wire.New(), contents: map[string]invariants.Content{}, heard: map[string][]string{},
		client: &http.Client{
			Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 50},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Intercept puts the wire before the stand-ins of S3, SQS and DynamoDB.
func (s *Suite) Intercept(e localaws.Endpoints) (localaws.Endpoints, error) {
	return s.wire.Intercept(e, wire.S3, wire.SQS, wire.DynamoDB)
}

// InterceptDatabase puts a link before Postgres.
func (s *Suite) InterceptDatabase(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	if s.database, err = link.New(u.Host); err != nil {
		return "", err
	}
	u.Host = s.database.Addr()
	return u.String(), nil
}

// Start begins to sweep the stack and to listen to its event bus; end it by
// Close before the stack's Stop.
func (s *Suite) Start(ctx context.Context, running *stack.Stack) error {
	s.stack = running
	ctx, s.stop = context.WithCancel(ctx)
	if err := s.listen(ctx); err != nil {
		return err
	}
	s.sweeps.Go(func() {
		for tick := time.NewTicker(sweepEvery); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
					fmt.Fprintln(s.Log, "sweep:", err)
				}
			}
		}
	})
	return nil
}

// sweep invokes the sweep function and waits for its end.
func (s *Suite) sweep(ctx context.Context) error {
	f, ok := s.stack.Deployed().Function("SweepFunction")
	if !ok {
		return errors.New("the template has no SweepFunction")
	}
	target := s.stack.State.Endpoints.Lambda + "/2015-03-31/functions/" + url.PathEscape(f.Name) + "/invocations"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// Close ends the sweeps and the proxies.
func (s *Suite) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.sweeps.Wait()
	if s.database != nil {
		s.database.Close()
	}
	s.client.CloseIdleConnections()
	return s.wire.Close()
}

// content is what psql's COPY makes of a table in the shape of users, now.
func (s *Suite) content(ctx context.Context, table string) (invariants.Content, error) {
	statement := `COPY (SELECT id, name, email, signup_date, country_code, subscription_tier, lifetime_value FROM ` + table +
		` ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`
	sum, size := sha256.New(), &counter{}
	if err := s.stack.State.DB().Copy(ctx, statement, io.MultiWriter(sum, size)); err != nil {
		return invariants.Content{}, err
	}
	return invariants.Content{SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: size.n}, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// remember keeps what a table's file must hold, for as long as the table stays
// as it is.
func (s *Suite) remember(ctx context.Context, table string) (invariants.Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.contents[table]; ok {
		return c, nil
	}
	c, err := s.content(ctx, table)
	if err == nil {
		s.contents[table] = c
	}
	return c, err
}

// Final looks at everything once more, when no point runs any more.
func (s *Suite) Final(ctx context.Context) ([]string, error) {
	return invariants.Check{State: s.stack.State}.Settled(ctx, settleTime)
}
