// Package stat has the tests by which two samples are told apart, and what a share of few trials says.
package stat

import (
	"cmp"
	"math"
	"slices"

	"github.com/leasestorm/leasestorm/internal/det"
)

// Alpha is the level at which two samples count as different.
const Alpha = 0.05

// exactRuns is up to how many runs of both together a rank test is exact.
const exactRuns = 60

// RankTest is the two-sided Mann-Whitney U test (Annals of Mathematical Statistics 18, 1947):
// p is the probability, if x and y come from one distribution, that their ranks differ at least
// as much as they do. later says that y has the higher ranks. Ties have their mean rank. p comes
// from all ways to draw x out of the ranks that there are; beyond exactRuns from the normal
// approximation. Of values 0 and 1 this is Fisher's exact test of two shares, two-sided by the distance
// from the mean.
//
// Few runs separate nothing. The least p of n and m runs is 2 over the binomial coefficient of
// n + m over n: 0.1 with 3 and 3, 0.057 with 3 and 4, 0.029 with 4 and 4, 0.036 with 3 and 5,
// 0.044 with 2 and 8. Without a run on either side p is 1.
func RankTest(x, y []float64) (p float64, later bool) {
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

// LeastP is the least p that the rank test can give with n and m runs.
func LeastP(n, m int) float64 {
	p := 2.0
	for i := range min(n, m) {
		p *= float64(i+1) / float64(n+m-i)
	}
	return p
}

// Holm returns the p of each test, corrected for there being several (S. Holm, Scandinavian Journal of
// Statistics 6, 1979): if none of the tests has a difference, the probability that the corrected p of
// any is Alpha or less is Alpha at most.
func Holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(ps[i], ps[j]) })
	out, least := make([]float64, len(ps)), 0.0
	for k, i := range order {
		least = max(least, min(1, float64(len(ps)-k)*ps[i]))
		out[i] = least
	}
	return out
}

// Median is the median. Of nothing it is NaN.
func Median(xs []float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	xs = slices.Sorted(slices.Values(xs))
	return (xs[(len(xs)-1)/2] + xs[len(xs)/2]) / 2
}

// MedianInterval is the interval between two of the values that holds the median of their distribution with
// a probability of 95 % or more, by order statistics (W. R. Thompson, Annals of Mathematical Statistics 7,
// 1936). Of fewer than 6 values it is all of them, with a probability of 1 − 2^(1−n). Of nothing it is NaN.
func MedianInterval(xs []float64) (low, high float64) {
	if len(xs) == 0 {
		return math.NaN(), math.NaN()
	}
	xs = slices.Sorted(slices.Values(xs))
	n, k := len(xs), 0
	// p is the probability that exactly k of n values are below the median, tail that k or fewer are.
	p := math.Ldexp(1, -n)
	for tail := p; ; k++ {
		p = p * float64(n-k) / float64(k+1)
		if tail += p; tail > 0.025 {
			break
		}
	}
	return xs[k], xs[n-1-k]
}

// Probability is a share with its 95 % interval (E. B. Wilson, JASA 22, 1927).
type Probability struct {
	P    *float64 `json:"p"` // null of no trials
	Low  float64  `json:"low"`
	High float64  `json:"high"`
	K    int      `json:"k"`
	N    int      `json:"n"`
}

// Wilson is the score interval of k successes in n trials.
func Wilson(k, n int) Probability {
	if n == 0 {
		return Probability{High: 1}
	}
	const z = 1.959964 // 97.5 % of a normal distribution
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := float64(z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m)))
	return Probability{P: &p, Low: max(0, centre-half), High: min(1, centre+half), K: k, N: n}
}

// Apart reports whether two shares differ: the 95 % interval of their difference, from the score intervals of
// both (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10), does not hold 0.
func (p Probability) Apart(q Probability) bool {
	if p.P == nil || q.P == nil {
		return false
	}
	if *p.P < *q.P {
		p, q = q, p
	}
	down, up := *p.P-p.Low, q.High-*q.P
	return *p.P-*q.P > math.Sqrt(float64(down*down)+float64(up*up))
}
