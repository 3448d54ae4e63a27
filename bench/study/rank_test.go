package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench"
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
		if p, _ := rankTest(x, y); math.Abs(p-tt.p) > 5e-5 {
			t.Errorf("n %d, m %d, U %d: p %.4f, want %.4f", tt.n, tt.m, tt.u, p, tt.p)
		}
		if p, later := rankTest(x, y); tt.u == 0 && (math.Abs(leastP(tt.n, tt.m)-p) > 1e-12 || !later) {
			t.Errorf("n %d, m %d: the least p is %v, and that of U = 0 %v; later %v", tt.n, tt.m, leastP(tt.n, tt.m), p, later)
		}
	}
	for nm, critical := range map[[2]int]int{{4, 4}: 0, {3, 5}: 0, {4, 5}: 1, {5, 5}: 2, {5, 6}: 3, {6, 6}: 5, {7, 7}: 8, {8, 8}: 13, {9, 9}: 17, {10, 10}: 23, {20, 20}: 127} {
		for u, want := range map[int]bool{critical: true, critical + 1: false} {
			x, y := apart(nm[0], nm[1], u)
			if p, _ := rankTest(x, y); p <= alpha != want {
				t.Errorf("n %d, m %d, U %d: p %.4f, critical is U = %d", nm[0], nm[1], u, p, critical)
			}
		}
	}
	// Fisher's tea: 3 of 4 and 1 of 4; 5 of 5 and 0 of 5; 3 of 3 and 0 of 3.
	for want, s := range map[float64][2][]float64{34. / 70: {{1, 1, 1, 0}, {0, 1, 0, 0}}, 2. / 252: {{1, 1, 1, 1, 1}, {0, 0, 0, 0, 0}}, 0.1: {{1, 1, 1}, {0, 0, 0}}} {
		if p, _ := rankTest(s[0], s[1]); math.Abs(p-want) > 1e-12 {
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
		p, later := rankTest(x, y)
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
		p, later := rankTest(x, y)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
		a, b := slices.Clone(x), slices.Clone(y)
		rng.Shuffle(len(a), func(i, j int) { a[i], a[j] = a[j], a[i] })
		rng.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
		if q, l := rankTest(a, b); q != p || l != later {
			t.Fatalf("p %v, shuffled %v", p, q)
		}
		if q, l := rankTest(y, x); math.Abs(q-p) > 1e-9 || l && later {
			t.Fatalf("p %v, exchanged %v", p, q)
		}
	})
	for _, u := range []int{100, 300, 341, 342, 400} {
		exact, _ := rankTest(apart(30, 30, u))
		x, y := apart(30, 31, u+15)
		if p, _ := rankTest(x, y); math.Abs(p-exact) > 0.01 {
			t.Errorf("U = %d: p is %.4f by count, and about %.4f", u, exact, p)
		}
	}
	if p, _ := rankTest(make([]float64, 40), make([]float64, 40)); p != 1 {
		t.Errorf("80 equal values: p %v", p)
	}
}

// shown is the ranks of contestants, in the order of the table. Each has a name, and runs: a
// TTR, or a verdict other than recovered.
func shown(contestants map[string][]any) string {
	var all []*bench.Result
	for name, runs := range contestants {
		for _, r := range runs {
			if ttr, ok := r.(float64); ok {
				all = append(all, ranked(name, "", bench.Recovered, ttr))
			} else {
				all = append(all, ranked(name, "", r.(bench.Verdict), 0))
			}
		}
	}
	rows := Compare(all)
	var words []string
	for i, text := range rankTexts(rows) {
		words = append(words, text+" "+rows[i].Queue)
	}
	return strings.Join(words, ", ")
}

func TestRanks(t *testing.T) {
	times := func(n int, r any) []any { return slices.Repeat([]any{r}, n) }
	from := func(n int, ttr float64) (runs []any) {
		for i := range n {
			runs = append(runs, ttr+0.01*float64(i))
		}
		return runs
	}
	for _, tt := range []struct {
		name        string
		contestants map[string][]any
		want        string
	}{
		{"three runs separate nothing", map[string][]any{"a": from(3, 1), "b": from(3, 9), "c": times(3, bench.Collapsed)}, "1= a, 1= b, 1= c"},
		{"four do", map[string][]any{"a": from(4, 1), "b": from(4, 9), "c": times(4, bench.Collapsed)}, "1 a, 2 b, 3 c"},
		{"overlapping spreads", map[string][]any{"a": from(10, 1), "b": from(10, 1.02), "c": from(10, 2)}, "1= a, 1= b, 3 c"},
		{"the first of the group counts", map[string][]any{"a": from(10, 1), "b": from(10, 1.02), "c": from(10, 1.04)}, "1= a, 1= b, 3 c"},
		{"equal runs", map[string][]any{"a": times(9, 2.0), "b": times(9, 2.0)}, "1= a, 1= b"},
		{"a collapse or two of ten", map[string][]any{"a": from(10, 2), "b": append(from(9, 2), bench.Collapsed), "c": append(from(4, 2), times(6, bench.Collapsed)...)}, "1= a, 1= b, 3 c"},
		{"not back, though it did not collapse", map[string][]any{"a": from(5, 2), "b": times(5, bench.Degraded), "c": times(5, bench.Collapsed)}, "1 a, 2 b, 3 c"},
		// The order by the share that collapsed is not told from chance, and TTR says the opposite.
		{"faster, with one collapse", map[string][]any{"a": from(10, 8), "b": append(from(9, 2), bench.Collapsed)}, "1= a, 1= b"},
		{"invalid runs do not count", map[string][]any{"a": from(4, 1), "b": append(from(3, 9), bench.Invalid)}, "1= a, 1= b"},
		{"without a valid run there is no rank", map[string][]any{"a": from(4, 1), "b": from(4, 9), "c": times(9, bench.Invalid), "d": times(9, bench.Invalid)}, "1 a, 2 b, – c, – d"},
	} {
		if got := shown(tt.contestants); got != tt.want {
			t.Errorf("%s: ranks %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Ranks do not depend on the order in which the runs came.
func TestRanksInvariance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []*bench.Result
		for i := range rapid.IntRange(1, 6).Draw(t, "contestants") {
			for range rapid.IntRange(1, 8).Draw(t, "runs") {
				v := rapid.SampledFrom([]bench.Verdict{bench.Recovered, bench.Recovered, bench.Recovered, bench.Degraded, bench.Collapsed, bench.Invalid}).Draw(t, "verdict")
				all = append(all, ranked(fmt.Sprint(i), "", v, float64(rapid.IntRange(1, 9).Draw(t, "ttr"))))
			}
		}
		table := func() string { return CompareText(Compare(all), false) }
		first := table()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if again := table(); again != first {
			t.Fatalf("in another order\n%s\nwas\n%s", again, first)
		}
		last := 0
		for i, r := range Compare(all) { // 1, 1, 3, …: a rank is the place of the first that has it
			if r.Rank == nil {
				break
			}
			if *r.Rank != last && *r.Rank != i+1 {
				t.Fatalf("rank %d at place %d after rank %d", *r.Rank, i+1, last)
			}
			last = *r.Rank
		}
	})
}

// The table, the JSON and the CSV have rank and n, and few runs are said to be few.
func TestRankShown(t *testing.T) {
	var all []*bench.Result
	add := func(queue string, n int, v bench.Verdict, ttr float64) {
		for range n {
			all = append(all, ranked(queue, "", v, ttr))
		}
	}
	add("deadline", 3, bench.Recovered, 2)
	add("lifo", 3, bench.Recovered, 3)
	add("pie", 1, bench.Invalid, 0)
	few := CompareText(Compare(all), true)
	for _, want := range []string{"| rank | queue | admission | retry | n |", "| 1= | deadline | none | immediate | 3 |", "| 1= | lifo | none | immediate | 3 |", "| – | pie | none | immediate | 0 |", "p = 0.1 at least"} {
		if !strings.Contains(few, want) {
			t.Errorf("no %q in\n%s", want, few)
		}
	}
	add("deadline", 1, bench.Recovered, 2)
	add("lifo", 1, bench.Recovered, 3)
	rows := Compare(all)
	text := CompareText(rows, true)
	if !strings.Contains(text, "| 2 | lifo |") || strings.Contains(text, "at least") {
		t.Errorf("of four runs each:\n%s", text)
	}
	for i, want := range []string{`{"rank":1,"n":4,`, `{"rank":2,"n":4,`, `{"rank":null,"n":0,`} {
		if got, err := json.Marshal(rows[i]); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("want %s: %v\n%s", want, err, got)
		}
	}
	var b bytes.Buffer
	if err := WriteCompareCSV(&b, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{",valid_runs,rank,invalid_because", ",4,1,", ",4,2,", ",0,,\"pie/none/immediate, seed 0: 1 of 1 tries invalid:\""} {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("line %d ends not in %s: %s", i+1, want, lines[i])
		}
	}
}
