package study

import (
	"fmt"
	"math"
	"slices"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/internal/det"
)

// alpha is the level at which two contestants count as different. It holds for each pair: of
// many pairs without a difference, one in twenty is told apart all the same.
const alpha = 0.05

// exactRuns is up to how many runs of both together a rank test is exact.
const exactRuns = 60

// rankTest is the two-sided Mann-Whitney U test (Annals of Mathematical Statistics 18, 1947):
// p is the probability, if x and y come from one distribution, that their ranks differ at least
// as much as they do. later says that y has the higher ranks. Ties have their mean rank. p comes
// from all ways to draw x out of the ranks that there are; beyond exactRuns from the normal
// approximation. Of values 0 and 1 this is Fisher's exact test of two shares, two-sided by the distance
// from the mean.
//
// Few runs separate nothing. The least p of n and m runs is 2 over the binomial coefficient of
// n + m over n: 0.1 with 3 and 3, 0.057 with 3 and 4, 0.029 with 4 and 4, 0.036 with 3 and 5,
// 0.044 with 2 and 8. Without a run on either side p is 1.
func rankTest(x, y []float64) (p float64, later bool) {
	n, all := len(x), slices.Sorted(slices.Values(slices.Concat(x, y)))
	total := len(all)
	if n == 0 || n == total {
		return 1, false
	}
	// Ranks, and all sums of them, are doubled, so that they are whole.
	ranks := make([]int, total)
	sum, tied := 0, 0.0
	for i := 0; i < total; {
		end := i
		for end < total && all[end] == all[i] {
			end++
		}
		t := float64(end - i)
		tied += float64(t*t*t) - t
		for ; i < end; i++ {
			ranks[i] = int(t) + 1 + 2*(end-int(t))
		}
	}
	for _, v := range x {
		i, _ := slices.BinarySearch(all, v)
		sum += ranks[i]
	}
	mean := n * (total + 1)
	off := max(sum-mean, mean-sum)
	if total > exactRuns {
		a, b, m := float64(n), float64(total-n), float64(total)
		sd := math.Sqrt(a * b / 12 * (m + 1 - tied/(m*(m-1))))
		if sd == 0 {
			return 1, false
		}
		return min(1, det.Erfc((float64(off)-1)/2/sd/math.Sqrt2)), sum < mean
	}
	// ways[k][s] is the number of ways to draw k ranks of sum s from those up to now.
	ways := make([][]float64, n+1)
	for k := range ways {
		ways[k] = make([]float64, total*(total+1)+1)
	}
	ways[0][0] = 1
	most := 0
	for i, r := range ranks {
		most += r
		for k := min(n, i+1); k > 0; k-- {
			for s := r; s <= most; s++ {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	extreme, every := 0.0, 0.0
	for s, w := range ways[n] {
		if every += w; max(s-mean, mean-s) >= off {
			extreme += w
		}
	}
	return extreme / every, sum < mean
}

// leastP is the least p that the rank test can give with n and m runs.
func leastP(n, m int) float64 {
	p := 2.0
	for i := range min(n, m) {
		p *= float64(i+1) / float64(n+m-i)
	}
	return p
}

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
		if p, later := rankTest(than.values(of), s.values(of)); p <= alpha {
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
	if second > 0 && leastP(most, second) > alpha {
		note += fmt.Sprintf("So few runs tell no two apart: n = %d and %d give p = %.2g at least. Run 4 seeds or more (--seeds 4).\n", most, second, leastP(most, second))
	}
	return note
}
