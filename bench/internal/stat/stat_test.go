package stat

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// apart are n values and m values without ties, of which so many pairs are out of order.
func apart(n, m, u int) (x, y []float64) {
	for i := range m {
		y = append(y, float64(i+1))
	}
	for i := range n {
		over := max(0, min(m, u-(n-1-i)*m)) // the last of x takes as many as there are
		x = append(x, float64(over)+0.1+0.5*float64(i)/float64(n))
	}
	return x, y
}

// Tables of U for a two-sided test at a level of 0.05, and p of single values, are printed in
// every textbook; H. B. Mann and D. R. Whitney, Annals of Mathematical Statistics 18, 1947.
func TestRankTestTables(t *testing.T) {
	for _, tt := range []struct {
		n, m, u int
		p       float64
	}{{5, 5, 2, 0.0317}, {4, 4, 0, 0.0286}, {3, 3, 0, 0.1}, {3, 5, 0, 0.0357}, {3, 4, 0, 0.0571}, {2, 8, 0, 0.0444}, {5, 5, 3, 0.0556}, {1, 3, 1, 1}} {
		x, y := apart(tt.n, tt.m, tt.u)
		if p, _ := RankTest(x, y); math.Abs(p-tt.p) > 5e-5 {
			t.Errorf("n %d, m %d, U %d: p %.4f, want %.4f", tt.n, tt.m, tt.u, p, tt.p)
		}
		if p, later := RankTest(x, y); tt.u == 0 && (math.Abs(LeastP(tt.n, tt.m)-p) > 1e-12 || !later) {
			t.Errorf("n %d, m %d: the least p is %v, and that of U = 0 %v; later %v", tt.n, tt.m, LeastP(tt.n, tt.m), p, later)
		}
	}
	for nm, critical := range map[[2]int]int{{4, 4}: 0, {3, 5}: 0, {4, 5}: 1, {5, 5}: 2, {5, 6}: 3, {6, 6}: 5, {7, 7}: 8, {8, 8}: 13, {9, 9}: 17, {10, 10}: 23, {20, 20}: 127} {
		for u, want := range map[int]bool{critical: true, critical + 1: false} {
			x, y := apart(nm[0], nm[1], u)
			if p, _ := RankTest(x, y); p <= Alpha != want {
				t.Errorf("n %d, m %d, U %d: p %.4f, critical is U = %d", nm[0], nm[1], u, p, critical)
			}
		}
	}
	// Fisher's tea: 3 of 4 and 1 of 4; 5 of 5 and 0 of 5; 3 of 3 and 0 of 3.
	for want, s := range map[float64][2][]float64{34. / 70: {{1, 1, 1, 0}, {0, 1, 0, 0}}, 2. / 252: {{1, 1, 1, 1, 1}, {0, 0, 0, 0, 0}}, 0.1: {{1, 1, 1}, {0, 0, 0}}} {
		if p, _ := RankTest(s[0], s[1]); math.Abs(p-want) > 1e-12 {
			t.Errorf("%v: p %v, want %v", s, p, want)
		}
	}
}

// With ties and without, p is the share of all ways to deal the values whose U, counted pair by
// pair, is at least as far from its mean.
func TestRankTestTies(t *testing.T) {
	twiceU := func(x, y []float64) (u int) {
		for _, a := range x {
			for _, b := range y {
				switch {
				case a > b:
					u += 2
				case a == b:
					u++
				}
			}
		}
		return u
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Map(rapid.IntRange(0, 6), func(i int) float64 { return float64(i) })
		x, y := rapid.SliceOfN(value, 0, 6).Draw(t, "x"), rapid.SliceOfN(value, 0, 6).Draw(t, "y")
		n, m := len(x), len(y)
		far := func(x, y []float64) int { return max(twiceU(x, y)-n*m, n*m-twiceU(x, y)) }
		all := slices.Concat(x, y)
		extreme, every := 0, 0
		for deal := range uint(1) << (n + m) {
			if bits.OnesCount(deal) != n {
				continue
			}
			var a, b []float64
			for i, v := range all {
				if deal>>i&1 == 1 {
					a = append(a, v)
				} else {
					b = append(b, v)
				}
			}
			every++
			if far(a, b) >= far(x, y) {
				extreme++
			}
		}
		p, later := RankTest(x, y)
		if want := float64(extreme) / float64(every); math.Abs(p-want) > 1e-12 || later != (twiceU(x, y) < n*m) {
			t.Fatalf("p %v, later %v; want %v of U = %v", p, later, want, float64(twiceU(x, y))/2)
		}
	})
}

// Neither the order of runs nor which sample is named first changes p, and beyond the exact
// test it goes on about where it was.
func TestRankTestInvariance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sample := rapid.SliceOfN(rapid.Float64Range(0, 3), 1, 40)
		x, y := sample.Draw(t, "x"), sample.Draw(t, "y")
		p, later := RankTest(x, y)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
		a, b := slices.Clone(x), slices.Clone(y)
		rng.Shuffle(len(a), func(i, j int) { a[i], a[j] = a[j], a[i] })
		rng.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
		if q, l := RankTest(a, b); q != p || l != later {
			t.Fatalf("p %v, shuffled %v", p, q)
		}
		if q, l := RankTest(y, x); math.Abs(q-p) > 1e-9 || l && later {
			t.Fatalf("p %v, exchanged %v", p, q)
		}
	})
	for _, u := range []int{100, 300, 341, 342, 400} {
		exact, _ := RankTest(apart(30, 30, u))
		x, y := apart(30, 31, u+15)
		if p, _ := RankTest(x, y); math.Abs(p-exact) > 0.01 {
			t.Errorf("U = %d: p is %.4f by count, and about %.4f", u, exact, p)
		}
	}
	if p, _ := RankTest(make([]float64, 40), make([]float64, 40)); p != 1 {
		t.Errorf("80 equal values: p %v", p)
	}
}

func TestWilson(t *testing.T) {
	// Brown, Cai and DasGupta, Statistical Science 16(2), 2001, give the formula; the values
	// are worked out from it.
	for _, tt := range []struct {
		k, n      int
		low, high float64
	}{{0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {5, 10, 0.2366, 0.7634}, {0, 0, 0, 1}} {
		p := Wilson(tt.k, tt.n)
		if d := p.Low - tt.low; d > 1e-4 || d < -1e-4 {
			t.Errorf("%d of %d: low %.4f, want %.4f", tt.k, tt.n, p.Low, tt.low)
		}
		if d := p.High - tt.high; d > 1e-4 || d < -1e-4 {
			t.Errorf("%d of %d: high %.4f, want %.4f", tt.k, tt.n, p.High, tt.high)
		}
	}
}

// The worked example of Holm's paper's kind: p 0.01, 0.04, 0.03, 0.005 become 0.03, 0.06, 0.06, 0.02.
func TestHolm(t *testing.T) {
	got := Holm([]float64{0.01, 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("test %d: %v, want %v", i, got[i], want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.SliceOf(rapid.Float64Range(0, 1)).Draw(t, "p")
		got := Holm(ps)
		for i := range ps {
			if got[i] < ps[i] || got[i] > 1 {
				t.Fatalf("%v became %v", ps[i], got[i])
			}
			for j := range ps {
				if ps[i] < ps[j] && got[i] > got[j] {
					t.Fatalf("%v and %v changed places: %v, %v", ps[i], ps[j], got[i], got[j])
				}
			}
		}
	})
}

// Thompson's intervals for the median: the ranks that tables of the sign test give for 95 %.
func TestMedianInterval(t *testing.T) {
	for n, rank := range map[int]int{1: 1, 2: 1, 5: 1, 6: 1, 8: 1, 9: 2, 10: 2, 12: 3, 15: 4, 20: 6, 25: 8, 50: 18} {
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = float64(n - i)
		}
		if low, high := MedianInterval(xs); low != float64(rank) || high != float64(n+1-rank) {
			t.Errorf("n = %d: %g to %g, want ranks %d and %d", n, low, high, rank, n+1-rank)
		}
	}
	if low, high := MedianInterval(nil); !math.IsNaN(low) || !math.IsNaN(high) {
		t.Error("of nothing there is an interval")
	}
}

// Newcombe's example (1998, table II, a): 56 of 70 and 48 of 80 differ by 0.0524 to 0.3339.
func TestApart(t *testing.T) {
	for _, tt := range []struct {
		k, n, l, m int
		apart      bool
	}{{56, 70, 48, 80, true}, {9, 10, 3, 10, true}, {6, 7, 2, 7, true}, {5, 56, 0, 29, false}, {0, 10, 0, 20, false}, {0, 64, 1, 64, false}, {0, 64, 6, 64, true}, {10, 10, 0, 10, true}} {
		a, b := Wilson(tt.k, tt.n), Wilson(tt.l, tt.m)
		if a.Apart(b) != tt.apart || b.Apart(a) != tt.apart {
			t.Errorf("%d of %d and %d of %d: apart %v", tt.k, tt.n, tt.l, tt.m, !tt.apart)
		}
	}
	if (Probability{}).Apart(Wilson(1, 2)) {
		t.Error("nothing differs from something")
	}
}
