package source

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"csvexport/internal/dataset"
)

const (
	// samplesPerRange is how many rows are looked at for each range wanted.
	samplesPerRange = 4
	// A sample reads at least and at most so many pages, each a random read.
	minSamples = 128
	maxSamples = 16384
)

// sampleOffsets are the places in a page that are tried: a row may have moved
// or be dead. The first that shows a row counts. With powers of two there is
// one for a page whose n rows were all updated in place: they have the places
// behind n, up to 2n. A page of 8 KiB has at most 291.
var sampleOffsets = []int{1, 2, 4, 8, 16, 32, 64, 128, 256}

// sample is a row that was looked at.
type sample struct {
	leaf    uint32   // oid
	block   int64    // its page
	key     []string // as text; empty without a key
	matches bool     // it meets the selection's predicates
}

// sample looks at the rows in about n pages, evenly spread over the table,
// and returns them in the key's order, if there is one. It may return less: pages may be empty.
//
// The rows are asked for by their place, so it costs n page reads, needs no
// statistics, and finds keys of any type in the server's own order.
func (r *Reader) sample(ctx context.Context, sel dataset.Selection, rel relation, n int64) ([]sample, error) {
	if !rel.hasKey {
		sel.Key = nil // it may have NULLs, and isn't used
	}
	step := max(rel.blocks()/min(max(n, minSamples), maxSamples), 1)
	var last int64
	for _, l := range rel.leaves {
		last = max(last, l.blocks)
	}
	var places strings.Builder
	for block := int64(0); block < last; block += step {
		for _, offset := range sampleOffsets {
			fmt.Fprintf(&places, `,"(%d,%d)"`, block, offset)
		}
	}
	if places.Len() == 0 {
		return nil, nil
	}
	rows, err := r.conn.Query(ctx, sampleSQL(sel), "{"+places.String()[1:]+"}")
	if err != nil {
		return nil, err
	}
	type page struct {
		leaf  uint32
		block int64
	}
	seen := map[page]bool{}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sample, err error) {
		err = row.Scan(&s.leaf, &s.block, &s.key, &s.matches)
		return s, err
	})
	return slices.DeleteFunc(all, func(s sample) bool {
		p := page{s.leaf, s.block}
		again := seen[p]
		seen[p] = true
		return again
	}), err
}

// correlation tells how far the key's order is the rows' physical order, from
// 0 (not at all) to 1: Spearman's rank correlation of key and page within each
// leaf. Samples are in the key's order.
func correlation(samples []sample) float64 {
	leaves := map[uint32][]int64{}
	for _, s := range samples {
		leaves[s.leaf] = append(leaves[s.leaf], s.block)
	}
	var sum float64
	for _, blocks := range leaves {
		sum += math.Abs(rankCorrelation(blocks)) * float64(len(blocks))
	}
	return sum / float64(max(len(samples), 1))
}

// rankCorrelation is Spearman's rank correlation of distinct values with
// their places in the list. It is 1 for fewer than two.
func rankCorrelation(values []int64) float64 {
	n := float64(len(values))
	if n < 2 {
		return 1
	}
	sorted := slices.Sorted(slices.Values(values))
	var squares float64
	for i, v := range values {
		rank, _ := slices.BinarySearch(sorted, v)
		squares += float64(rank-i) * float64(rank-i)
	}
	return 1 - 6*squares/(n*(n*n-1))
}
