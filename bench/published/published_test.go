package published

import (
	"os"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/docs"
)

// The verdicts of all published results, from few seeds; the same seed makes the same rows.
func TestPublished(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates some hundred runs, each in one goroutine")
	}
	want := map[string]Verdict{}
	for _, p := range Points() {
		if want[p.Name] = Agrees; p.Scenario == "" {
			want[p.Name] = NotModelled
		}
	}
	want["DAGOR at 1.4, time"] = Differs // a refusal is free here
	again := func(seeds int) []Row {
		rows, err := Run(t.Context(), Points(), Options{Seed: 1, Seeds: seeds})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for _, r := range again(16) {
		if r.Agrees != want[r.Name] {
			t.Errorf("%s: agrees %q, want %q: theirs %s, ours %s", r.Name, r.Agrees, want[r.Name], r.Theirs, r.Ours)
		}
	}
	if one, two := Table(again(2)), Table(again(2)); one != two {
		t.Errorf("the same seed made\n%sand\n%s", one, two)
	}
}

// A published number is judged by the interval of ours, and the outcome of one run by what most seeds do.
func TestJudge(t *testing.T) {
	ones := func(k, n int) []float64 {
		xs := make([]float64, n)
		for i := range k {
			xs[i] = 1
		}
		return xs
	}
	three := number(3, .005, "%.2f")
	for _, tt := range []struct {
		theirs Claim
		xs     []float64
		want   Verdict
	}{
		{count(0, 64, ""), ones(0, 64), Agrees}, {count(0, 64, ""), ones(1, 64), Agrees}, {count(0, 64, ""), ones(6, 64), Differs},
		{count(64, 64, ""), ones(64, 64), Agrees}, {count(64, 64, ""), ones(58, 64), Differs},
		{count(31, 64, ""), ones(25, 64), Agrees}, {count(31, 64, ""), ones(20, 64), Differs},
		{outcome("", ""), ones(18, 20), Agrees}, {outcome("", ""), ones(2, 2), Undecided}, {outcome("", ""), ones(10, 20), Undecided}, {outcome("", ""), ones(2, 20), Differs},
		{three, []float64{2.9, 3.1, 3.2, 2.8, 3, 3}, Agrees}, {three, []float64{3.004}, Agrees}, {three, []float64{3.006}, Differs}, {three, nil, NotModelled},
	} {
		var r Row
		if r.judge(&Point{Theirs: tt.theirs, Differs: "why"}, tt.xs); r.Agrees != tt.want {
			t.Errorf("%+v beside %v: %q, want %q", tt.theirs, tt.xs, r.Agrees, tt.want)
		}
		if (r.Why == "") != (tt.want == Agrees) {
			t.Errorf("%+v beside %v: %q because %q", tt.theirs, tt.xs, r.Agrees, r.Why)
		}
	}
}

// Each scenario file names its source, each point has a scenario that can be read or says what the model
// lacks, the page has it, and no file is left over.
func TestPoints(t *testing.T) {
	page, err := os.ReadFile("../../docs/validation.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, p := range Points() {
		if names[p.Name] || p.Differs == "" || p.Source.Name == "" || !strings.HasPrefix(p.Source.URL, "https://") {
			t.Errorf("%+v: want a name of its own, a source and what differs", p)
		}
		if !strings.Contains(string(page), "\n"+p.Name+" ") {
			t.Errorf("the table of docs/validation.md lacks %s: leasestorm validate --published --seed 1 prints it", p.Name)
		}
		names[p.Name] = true
		if p.Scenario == "" {
			continue
		}
		if _, err := p.Load(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if text, err := docs.Published.ReadFile("examples/published/" + p.Scenario); err == nil && !strings.Contains(string(text), p.Source.URL) {
			t.Errorf("%s does not name its source, %s", p.Scenario, p.Source.URL)
		}
	}
	var files []string
	all, err := docs.Published.ReadDir("examples/published")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		files = append(files, f.Name())
	}
	used := Files(Points())
	if len(files) != len(used) {
		t.Errorf("files %v, and %v are used", files, used)
	}
}
