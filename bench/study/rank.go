package study

import (
	"fmt"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// alpha is the level at which two contestants count as different. It holds for each pair: of
// many pairs without a difference, one in twenty is told apart all the same.
const alpha = stat.Alpha

// What contestants are ranked by, in this order: the higher, the worse.
var rankedBy = []measure{
	func(r *bench.Result) *float64 { return oneIf(r.Verdict == bench.Collapsed) },
	func(r *bench.Result) *float64 { return oneIf(r.Verdict.Lost()) },
	func(r *bench.Result) *float64 { // of those that came back
		if r.Verdict.Lost() {
			return nil
		}
		return r.TTR
	},
}

func oneIf(holds bool) *float64 {
	x := 0.0
	if holds {
		x = 1
	}
	return &x
}

// worse says whether valid runs are told apart from better ones. The first measure that
// separates them decides.
func (s sample) worse(than sample) bool {
	for _, of := range rankedBy {
		if p, later := stat.RankTest(than.values(of), s.values(of)); p <= alpha {
			return later
		}
	}
	return false
}

// rank gives sorted rows their ranks. A row shares the rank of the first of the group before
// it, unless it is told apart from that one; a row without a valid run has none.
func rank(rows []CompareRow) {
	first := 0
	for i := range rows {
		if rows[i].N == 0 {
			break
		}
		if sample(rows[i].Runs).valid().worse(sample(rows[first].Runs).valid()) {
			first = i
		}
		at := first + 1
		rows[i].Rank = &at
	}
}

// rankTexts are the ranks as they are shown: 3, or 3= if others have it too.
func rankTexts(rows []CompareRow) []string {
	n := map[int]int{}
	for _, r := range rows {
		if r.Rank != nil {
			n[*r.Rank]++
		}
	}
	texts := make([]string, len(rows))
	for i, r := range rows {
		switch {
		case r.Rank == nil:
			texts[i] = "–"
		case n[*r.Rank] > 1:
			texts[i] = fmt.Sprintf("%d=", *r.Rank)
		default:
			texts[i] = fmt.Sprint(*r.Rank)
		}
	}
	return texts
}

// rankNote says what the ranks mean.
func rankNote(rows []CompareRow) string {
	note := fmt.Sprintf("n: valid runs. Equal ranks (=): not told apart from the first of them at α = %g, by tests of the\nshares that collapsed and came back (Fisher), and of TTR (Mann-Whitney U). Within a rank the order is that of the medians.\n", alpha)
	most, second := 0, 0
	for _, r := range rows {
		most, second = max(most, r.N), max(second, min(most, r.N))
	}
	if second > 0 && stat.LeastP(most, second) > alpha {
		note += fmt.Sprintf("So few runs tell no two apart: n = %d and %d give p = %.2g at least. Run 4 seeds or more (--seeds 4).\n", most, second, stat.LeastP(most, second))
	}
	return note
}
