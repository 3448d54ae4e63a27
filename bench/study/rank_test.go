package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench"
)

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
