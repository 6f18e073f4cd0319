package source

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

// tableOf is an ordinary table of so many ranges' worth, with a key.
func tableOf(ranges int64) relation {
	return relation{kind: ordinaryTable, hasKey: true, leaves: []leaf{{oid: 1, blocks: 1536 * ranges, bytes: rangeBytes * ranges, heap: true, readable: true}}}
}

// samplesOf are n samples in the key's order and the place's, of which every
// nth matches.
func samplesOf(n, every int) []sample {
	samples := make([]sample, n)
	for i := range samples {
		samples[i] = sample{leaf: 1, block: int64(i), key: []string{fmt.Sprint(i)}, matches: i%every == 0}
	}
	return samples
}

func TestDivide(t *testing.T) {
	with := func(rel relation, change func(*relation)) relation {
		rel.leaves = slices.Clone(rel.leaves)
		change(&rel)
		return rel
	}
	partitioned := with(tableOf(20), func(r *relation) {
		r.kind = partitionedTable
		r.leaves = append(r.leaves, leaf{oid: 2, relation: dataset.Relation{Name: "second"}, blocks: 1536 * 20, bytes: rangeBytes * 20, heap: true, readable: true})
	})
	shuffled := samplesOf(200, 1)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) {
		shuffled[i].block, shuffled[j].block = shuffled[j].block, shuffled[i].block
	})
	nearly := samplesOf(200, 1)
	for i := 0; i+5 < len(nearly); i += 6 { // as rows that moved a little
		nearly[i].block, nearly[i+5].block = nearly[i+5].block, nearly[i].block
	}
	backwards := samplesOf(200, 1)
	for i := range backwards {
		backwards[i].block = int64(len(backwards) - i)
	}
	for _, test := range []struct {
		name    string
		rel     relation
		samples []sample
		order   export.Order
		least   int // ranges
		most    int
	}{
		{"all rows", tableOf(20), samplesOf(200, 1), export.ByKey, 20, 20},
		{"descending", tableOf(20), backwards, export.ByKey, 20, 20},
		{"moved a little", tableOf(20), nearly, export.ByKey, 20, 20},
		{"few samples", tableOf(20), samplesOf(40, 1), export.ByKey, 20, 20},
		{"too few samples for the key's ranges", tableOf(20), samplesOf(39, 1), export.Physical, 19, 20},
		{"half of the rows", tableOf(20), samplesOf(200, 2), export.ByKey, 12, 13},
		{"four in a hundred", tableOf(20), samplesOf(200, 25), export.ByKey, 5, 6},
		{"two in a hundred", tableOf(20), samplesOf(200, 50), export.ByKey, 1, 1},
		{"at random", tableOf(20), shuffled, export.Physical, 20, 20},
		{"no key", with(tableOf(20), func(r *relation) { r.hasKey = false }), samplesOf(200, 1), export.Physical, 20, 20},
		{"nothing found", tableOf(20), nil, export.Physical, 2, 2},
		{"more bytes than pages", with(tableOf(20), func(r *relation) { r.leaves[0].blocks = 3 }), samplesOf(3, 1), export.Physical, 3, 3},
		{"partitions at random", partitioned, shuffled, export.Physical, 40, 40},
		{"a partition that isn't readable", with(partitioned, func(r *relation) { r.leaves[1].readable = false }), shuffled, export.ByKey, 1, 1},
		{"row security and a key", with(tableOf(20), func(r *relation) { r.secured = true }), samplesOf(200, 1), export.ByKey, 20, 20},
		{"row security and no key", with(tableOf(20), func(r *relation) { r.secured, r.hasKey = true, false }), samplesOf(200, 1), export.Physical, 20, 20},
		{"row security of partitions", with(partitioned, func(r *relation) { r.secured = true }), shuffled, export.ByKey, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			order, ranges := divide(export.ByKey, "", test.rel, test.samples)
			if n := len(ranges); order != test.order || n < test.least || n > test.most {
				t.Errorf("%d ranges in order %s, want %d to %d, %s", n, order, test.least, test.most, test.order)
			}
			wantWhole(t, test.rel, ranges)
		})
	}
}

// wantWhole checks that the ranges are numbered and hold each key, or each
// page, once.
func wantWhole(t *testing.T, rel relation, ranges []Range) {
	t.Helper()
	var after []string
	type stretch struct{ from, to int64 }
	stretches := map[dataset.Relation][]stretch{}
	for i, r := range ranges {
		if r.Index != i {
			t.Errorf("range %d has the number %d", i, r.Index)
		}
		if diff := cmp.Diff(after, r.After); diff != "" {
			t.Errorf("range %d doesn't begin where the one before it ends:\n%s", i, diff)
		}
		if after = r.UpTo; r.Blocks != nil {
			stretches[r.Blocks.Relation] = append(stretches[r.Blocks.Relation], stretch{r.Blocks.From, r.Blocks.To})
		}
	}
	if after != nil {
		t.Errorf("the last range ends at %q", after)
	}
	for name, list := range stretches {
		for i, s := range list {
			from, open := int64(0), i == len(list)-1
			if i > 0 {
				from = list[i-1].to
			}
			if s.from != from || (s.to == 0) != open || !open && s.to <= s.from {
				t.Errorf("%+v: stretch %d of %+v", name, i, list)
			}
		}
	}
	if len(stretches) > 0 && len(stretches) != len(rel.leaves) {
		t.Errorf("stretches of %d tables, there are %d", len(stretches), len(rel.leaves))
	}
}

// However the pages are spread over the leaves, and however many ranges are
// wanted: each page is in one range.
func TestBlockRanges_atRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		rel := relation{kind: partitionedTable}
		for i := range 1 + random.IntN(5) {
			l := leaf{oid: uint32(i), relation: dataset.Relation{Name: fmt.Sprint("leaf ", i)}}
			if random.IntN(4) > 0 {
				l.blocks = random.Int64N(1 << random.IntN(20))
			}
			rel.leaves = append(rel.leaves, l)
		}
		wantWhole(t, rel, blockRanges(rel, 1+random.IntN(1<<random.IntN(12))))
	}
}

// The work of the ranges is about the same, wherever the rows are that match.
func TestKeyRanges_work(t *testing.T) {
	for _, every := range []int{1, 2, 10} {
		samples := samplesOf(1000, every)
		for i := range samples {
			samples[i].matches = samples[i].matches && i >= 500 // the second half only
		}
		var all float64
		for _, s := range samples {
			all += s.work()
		}
		ranges := keyRanges(samples, all/10)
		if len(ranges) < 10 || len(ranges) > 11 {
			t.Errorf("%d ranges, want 10", len(ranges))
		}
		var work float64
		last := 0
		for i, s := range samples {
			if work += s.work(); last < len(ranges)-1 && s.key[0] == ranges[last].UpTo[0] {
				if work < all/10-1 || work > all/10+1 {
					t.Errorf("range %d up to sample %d is %.1f of %.1f", last, i, work, all)
				}
				work = 0
				last++
			}
		}
	}
}

func TestRankCorrelation(t *testing.T) {
	for _, test := range []struct {
		values      []int64
		least, most float64
	}{
		{nil, 1, 1},
		{[]int64{7}, 1, 1},
		{[]int64{1, 2, 3, 1000}, 1, 1},
		{[]int64{4, 3, 2, 1}, -1, -1},
		{[]int64{2, 1, 4, 3, 6, 5}, 0.8, 0.95},
		{[]int64{1, 3, 5, 7, 2, 4, 6, 8}, 0.6, 0.7},
	} {
		if got := rankCorrelation(test.values); got < test.least || got > test.most {
			t.Errorf("%v: %.3f, want %.2f to %.2f", test.values, got, test.least, test.most)
		}
	}
}

// Each partition counts by itself, also one that is sorted the other way.
func TestCorrelation_partitions(t *testing.T) {
	var samples []sample
	for i := range 100 {
		samples = append(samples, sample{leaf: 1, block: int64(i)}, sample{leaf: 2, block: int64(100 - i)})
	}
	if got := correlation(samples); got < 0.999 {
		t.Errorf("%.3f, want 1", got)
	}
	if got := correlation(nil); got != 0 {
		t.Errorf("of nothing: %.3f", got)
	}
}
