package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"csvexport/internal/dataset"
)

// Estimate returns how many rows the planner expects the selection to have. It
// reads none. The errors are SourceRejected when the table can't be read at
// all and SourceUnavailable for what may pass, such as a lock that others hold
// until ctx ends.
func (s *Source) Estimate(ctx context.Context, sel dataset.Selection) (int64, error) {
	conn, err := s.connect(ctx, "csvexport estimate")
	if err != nil {
		return 0, err
	}
	defer closeConn(ctx, conn)
	if err := begin(ctx, conn); err != nil {
		return 0, translate(ctx, "estimate", err)
	}
	var text []byte
	if err := conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) SELECT"+fromSQL(sel)).Scan(&text); err != nil {
		return 0, translate(ctx, "estimate", err)
	}
	n, err := plannedRows(text)
	return n, translate(ctx, "estimate", err)
}

// plannedRows reads the answer of EXPLAIN (FORMAT JSON): a list of one plan
// (PostgreSQL manual, "Using EXPLAIN").
func plannedRows(text []byte) (int64, error) {
	var plans []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		} `json:"Plan"`
	}
	if err := json.Unmarshal(text, &plans); err != nil {
		return 0, fmt.Errorf("decode the plan: %w", err)
	}
	if len(plans) != 1 {
		return 0, errors.New("the plan is no list of one")
	}
	return int64(math.Min(plans[0].Plan.Rows, math.MaxInt64/2)), nil
}
