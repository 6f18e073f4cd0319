package source

import (
	"context"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

const (
	// rangeBytes is about how much of the table a range holds: some 4 MiB when
	// compressed, so that the ranges that wait for their turn fit the memory.
	rangeBytes = 12 << 20
	// minSelected is the part of a table's rows below which a selection is one
	// range: an index may find them faster than reading every range would.
	minSelected = 0.03
	// scanCost is what reading a row costs that isn't selected, relative to
	// one that is.
	scanCost = 0.25
	// minCorrelation is the correlation of key and place below which reading
	// by key would read most pages many times.
	minCorrelation = 0.9
)

// Plan says how a selection is read: as ranges that together hold each row
// once. It and its ranges are plain values: any reader of the snapshot can
// copy any range.
type Plan struct {
	Selection dataset.Selection
	Order     export.Order
	Ranges    []Range
	// Guarded are the columns that the formula guard is for: those of text.
	Guarded []string
	// Exact says that every query in the snapshot finds the same rows, so that
	// a count must agree with the copy. It is false for views, whose functions
	// may give another result each time, and for foreign tables.
	Exact bool
}

// Range is one stretch of a selection's rows, in the plan's order. At most one
// pair of bounds is set.
type Range struct {
	Index int // from 0, in the order of the file

	// After and UpTo bound the key: rows behind After, up to and with UpTo.
	// They are Postgres's own text of each column's value; nil is open.
	After, UpTo []string

	// Blocks bounds the place in a table: nil is open.
	Blocks *Blocks
}

// Blocks is a stretch of a table's pages.
type Blocks struct {
	Relation dataset.Relation // a partition, or the selection's own relation
	From     int64
	To       int64 // exclusive; 0 is open
}

// Plan looks at the table and divides the selection into ranges. It takes
// some milliseconds. What it finds out decides the speed of the copy and the
// order of the file, never its rows.
func (r *Reader) Plan(ctx context.Context, sel dataset.Selection) (Plan, error) {
	p, err := r.plan(ctx, sel)
	return p, translate(ctx, "plan", err)
}

func (r *Reader) plan(ctx context.Context, sel dataset.Selection) (Plan, error) {
	rel, err := r.describe(ctx, sel)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Selection: sel, Exact: rel.divisible()}
	if sel.Format.FormulaGuard {
		p.Guarded = rel.text
	}
	switch {
	case len(sel.Key) > 0 && sel.Order != export.Physical:
		p.Order = export.ByKey
	case rel.divisible():
		p.Order = export.Physical
	case sel.Order == export.Physical:
		return Plan{}, export.Errorf(export.SourceRejected, "The dataset's rows have no physical order: it isn't a table with rows of its own.")
	default:
		p.Order = export.Unordered
	}
	p.Ranges = []Range{{}}
	if !rel.divisible() || rel.bytes() <= 2*rangeBytes {
		return p, nil
	}
	samples, err := r.sample(ctx, sel, rel, samplesPerRange*rel.bytes()/rangeBytes)
	if err != nil {
		return Plan{}, err
	}
	p.Order, p.Ranges = divide(p.Order, sel.Order, rel, samples)
	return p, nil
}

// divide chooses order and ranges for a table that is worth more than one.
// order is that of one range; forced is the dataset's own, if it has one.
func divide(order, forced export.Order, rel relation, samples []sample) (export.Order, []Range) {
	var selected, work float64 // sums of the samples
	for _, s := range samples {
		selected += count(s.matches)
		work += s.work()
	}
	n := float64(len(samples))
	wanted := int(work / n * float64(rel.bytes()) / rangeBytes) // ranges
	switch {
	case n > 0 && (selected < minSelected*n || wanted < 2):
		return order, []Range{{}}
	case forced != export.Physical && rel.hasKey && n > 0 && len(samples) >= 2*wanted && (forced == export.ByKey || correlation(samples) >= minCorrelation):
		return export.ByKey, keyRanges(samples, work/float64(wanted))
	case forced != export.ByKey && rel.leavesReadable():
		return export.Physical, blockRanges(rel, max(wanted, 2))
	default:
		return order, []Range{{}}
	}
}

// work is what reading a row like the sample costs, relative to one that is
// selected.
func (s sample) work() float64 { return max(count(s.matches), scanCost) }

func count(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// keyRanges makes ranges of the given work each out of samples in the key's
// order. The last one is open, as the first one is at its beginning.
func keyRanges(samples []sample, work float64) []Range {
	ranges := []Range{{}}
	sum := 0.0
	for _, s := range samples[:len(samples)-1] {
		if sum += s.work(); sum >= work {
			sum -= work
			last := &ranges[len(ranges)-1]
			last.UpTo = s.key
			ranges = append(ranges, Range{Index: last.Index + 1, After: s.key})
		}
	}
	return ranges
}

// blockRanges makes about n ranges, at least one for each leaf, out of stretches of about as many
// blocks. The last one of a leaf is open.
func blockRanges(rel relation, n int) []Range {
	var ranges []Range
	for _, l := range rel.leaves {
		parts := max(min(int64(n)*l.blocks/max(rel.blocks(), 1), l.blocks), 1)
		for i := range parts {
			b := &Blocks{Relation: l.relation, From: i * l.blocks / parts, To: (i + 1) * l.blocks / parts}
			if i == parts-1 {
				b.To = 0
			}
			ranges = append(ranges, Range{Index: len(ranges), Blocks: b})
		}
	}
	return ranges
}
