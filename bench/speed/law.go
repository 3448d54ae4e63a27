package speed

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Law is the universal scalability law (N. J. Gunther, Guerrilla Capacity Planning, Springer 2007,
// chapter 4): N goroutines have a throughput of
//
//	X(N) = λN / (1 + σ(N−1) + κN(N−1))
type Law struct {
	Lambda   float64    `json:"lambda_per_second"` // λ, rate of one goroutine
	Sigma    float64    `json:"sigma"`             // σ, contention
	Kappa    float64    `json:"kappa"`             // κ, coherence
	Peak     float64    `json:"peak_goroutines"`   // N of the highest X, sqrt((1−σ)/κ); 0: no peak
	SigmaCI  [2]float64 `json:"sigma_95"`          // 95 % interval of σ, by bootstrap over rounds
	KappaCI  [2]float64 `json:"kappa_95"`          // 95 % interval of κ, by bootstrap over rounds
	Measured int        `json:"counts"`            // number of counts of goroutines
}

// leastCounts is the smallest number of counts of goroutines for a fit of three parameters.
const leastCounts = 4

// FitLaw fits the law to rates, in operations per second: rates[i] are the rounds with counts[i]
// goroutines. It returns false if there are fewer than four counts, or the fit fails.
func FitLaw(counts []int, rates [][]float64, seed uint64) (Law, bool) {
	if len(counts) < leastCounts || len(counts) != len(rates) {
		return Law{}, false
	}
	medians := make([]float64, len(rates))
	for i, r := range rates {
		medians[i] = middle(r)
	}
	l, ok := fit(counts, medians)
	if !ok {
		return l, false
	}
	l.Measured = len(counts)
	rng := rand.New(rand.NewPCG(seed, 2))
	var sigmas, kappas []float64
	for range 500 {
		for i, r := range rates {
			again := make([]float64, len(r))
			for k := range again {
				again[k] = r[rng.IntN(len(r))]
			}
			medians[i] = middle(again)
		}
		if b, ok := fit(counts, medians); ok {
			sigmas, kappas = append(sigmas, b.Sigma), append(kappas, b.Kappa)
		}
	}
	l.SigmaCI, l.KappaCI = interval(sigmas), interval(kappas)
	return l, true
}

func middle(xs []float64) float64 {
	s := slices.Sorted(slices.Values(xs))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func interval(xs []float64) [2]float64 {
	if len(xs) == 0 {
		return [2]float64{}
	}
	slices.Sort(xs)
	return [2]float64{xs[len(xs)*25/1000], xs[len(xs)*975/1000]}
}

// fit is a weighted least-squares fit of N/X = (1 + σ(N−1) + κN(N−1))/λ, which is linear in 1/λ,
// σ/λ and κ/λ.
func fit(counts []int, rates []float64) (Law, bool) {
	var m [3][4]float64 // normal equations
	for i, n := range counts {
		if !(rates[i] > 0) {
			return Law{}, false
		}
		x := [3]float64{1, float64(n - 1), float64(n) * float64(n-1)}
		y := float64(n) / rates[i]
		w := 1 / (y * y) // errors are relative
		for a := range x {
			for b := range x {
				m[a][b] += w * x[a] * x[b]
			}
			m[a][3] += w * x[a] * y
		}
	}
	for a := range m { // Gauss and Jordan, with the largest pivot
		p := a
		for r := a + 1; r < 3; r++ {
			if math.Abs(m[r][a]) > math.Abs(m[p][a]) {
				p = r
			}
		}
		m[a], m[p] = m[p], m[a]
		if m[a][a] == 0 {
			return Law{}, false
		}
		for r := range m {
			if r != a {
				f := m[r][a] / m[a][a]
				for c := range m[r] {
					m[r][c] -= f * m[a][c]
				}
			}
		}
	}
	inv := m[0][3] / m[0][0]
	if !(inv > 0) {
		return Law{}, false
	}
	l := Law{Lambda: 1 / inv, Sigma: m[1][3] / m[1][1] / inv, Kappa: m[2][3] / m[2][2] / inv}
	if l.Kappa > 0 && l.Sigma < 1 {
		l.Peak = math.Sqrt((1 - l.Sigma) / l.Kappa)
	}
	return l, true
}
